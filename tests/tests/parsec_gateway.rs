//! The device flow with keys that parsec-tool makes, in each kind of provider.

use hwkey_tests::{Authority, Broker, KeyType, Parsec, ParsecProvider, Said, Site, script};

const VERSIONS: [&str; 2] = ["tlsv1.2", "tlsv1.3"];

#[test]
fn a_key_of_each_provider_gets_a_certificate_and_sends_messages_over_tls() {
    let authority = Authority::new();
    let broker = Broker::start(authority.party("broker", KeyType::P256));
    for provider in ParsecProvider::ALL {
        let device = Parsec::new(&[provider]);
        device.tool("create-ecc-key --key-name device", &[]).ok();
        authority.admit(&device, "parsec:device", provider.name());
        for version in VERSIONS {
            let message = format!("{}-{version}", provider.name());
            assert_eq!(broker.deliver(&device, version, &message), message);
        }
        let known = format!("u'{}'", provider.name());
        assert!(broker.log().contains(&known), "{}", broker.log());
    }
}

#[test]
fn an_rsa_key_of_parsec_tool_serves_tls_12_and_tls_13_is_told_what_to_do() {
    for provider in ParsecProvider::ALL {
        let device = Parsec::new(&[provider]);
        device
            .tool("create-rsa-key --for-signing --key-name device", &[])
            .ok();
        let (key, certificate) = device.self_signed("parsec:device", "device");
        let handshake = |version: &str| {
            let then = "print(handshake(with_key(server()), with_key(client()), ssl.TLSVersion.";
            script(&device, &format!("{then}{version}))"), &key, &certificate)
        };
        let refused = handshake("TLSv1_3").fails();
        for text in [
            "its policy is RSA PKCS#1 v1.5 signatures with SHA2-256, and RSA-PSS",
            "set MaxProtocol = TLSv1.2 and SignatureAlgorithms = RSA+SHA256",
        ] {
            assert!(refused.contains(text), "{text}: {refused}");
        }
        device.configure_tls("MaxProtocol = TLSv1.2\nSignatureAlgorithms = RSA+SHA256\n");
        assert_eq!(handshake("TLSv1_2").ok(), "TLSv1.2\n");
    }
}

#[test]
fn a_name_that_two_providers_have_is_asked_about_and_provider_tells_which() {
    let parsec = Parsec::new(&ParsecProvider::ALL);
    for provider in ParsecProvider::ALL {
        parsec
            .tool_at(provider, "create-ecc-key --key-name device", &[])
            .ok();
        let exported = parsec
            .tool_at(provider, "export-public-key --key-name device", &[])
            .ok();
        let uri = format!("parsec:device;provider={}", provider.name());
        let public = parsec.openssl("pkey -in {} -pubout", &[&uri]).ok();
        assert_eq!(public.trim(), exported.trim(), "{uri}");
        parsec
            .openssl("req -new -key {} -subj /CN=device -out r.pem", &[&uri])
            .ok();
        parsec.openssl("req -in r.pem -verify -noout", &[]).ok();
    }
    let load = parsec.openssl("pkey -in parsec:device -noout", &[]);
    Said::by(load).names(
        "several keys match",
        "loading parsec:name=device",
        &[
            "Mbed Crypto provider",
            "PKCS#11 provider",
            "TPM provider",
            "add one of these to the URI: ;provider=mbed-crypto, ;provider=pkcs11, ;provider=tpm",
        ],
    );
}
