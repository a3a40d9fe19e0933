//! Programs that take a key as a PEM file only: Node.js and Python, with keys of a TPM.

use hwkey_tests::{Algorithm, Gateway, Site, TpmKey, node, script};

const RELEASES: [u32; 3] = [20, 22, 24];

/// A machine with a persistent key and the file that stands for it, a key in a file, and certificates.
struct Machine {
    gateway: Gateway,
    /// Pairs of a key's file and a certificate's.
    keys: [(String, String); 2],
}

impl Machine {
    fn new(algorithm: Algorithm) -> Self {
        let gateway = Gateway::new();
        gateway.tpm.persist("0x81000010", TpmKey::new(algorithm));
        let persistent = gateway.self_signed("tpm2:handle=0x81000010", "persistent");
        gateway.make_key(algorithm, "tpm2:", "file.pem");
        let file = gateway.self_signed("file.pem", "file");
        Self {
            gateway,
            keys: [persistent, file],
        }
    }

    /// The script prints `printed` with both keys and every release of Node.js.
    #[track_caller]
    fn node_prints(&self, script: &str, printed: &str) {
        let script = format!("{NODE}\n{script}");
        for release in RELEASES {
            for (key, certificate) in &self.keys {
                let run = self.gateway.run(node(release));
                let finished = run.args(["-e", &script, key, certificate]).finish();
                assert!(finished.ok, "{}", finished.all());
                assert_eq!(finished.stdout.trim(), printed, "{}", finished.stderr);
                assert_eq!(finished.stderr, "", "{key}");
            }
        }
        self.gateway.has_nothing_loaded();
    }
}

/// What each script begins with. A JWT is signed with the key and verified with the certificate's.
const NODE: &str = "
'use strict';
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const [KEY, CERT] = process.argv.slice(1).map((file) => fs.readFileSync(file, 'utf8'));
const certificate = new crypto.X509Certificate(CERT);
const key = crypto.createPrivateKey(KEY);
function jwt(alg, options) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = Buffer.from(`${encode({ alg, typ: 'JWT' })}.${encode({ sub: 'gateway' })}`);
    const hash = `sha${alg.slice(2)}`;
    const signature = crypto.sign(hash, input, { key, ...options });
    const verify = (text) =>
        crypto.verify(hash, text, { key: certificate.publicKey, ...options }, signature);
    assert(verify(input));
    assert(!verify(Buffer.concat([input, Buffer.from('x')])));
    return `${alg}:${signature.length}`;
}
const p1363 = { dsaEncoding: 'ieee-p1363' };
const pss = {
    padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
};
";

#[test]
fn node_tells_the_keys_details() {
    let script = "
const { namedCurve, modulusLength, publicExponent } = key.asymmetricKeyDetails;
console.log(key.type, key.asymmetricKeyType, namedCurve ?? `${modulusLength} ${publicExponent}`);
assert(certificate.checkPrivateKey(key));
assert(crypto.createPublicKey(key).equals(certificate.publicKey));";
    for (algorithm, details) in [
        (Algorithm::P256, "private ec prime256v1"),
        (Algorithm::P384, "private ec secp384r1"),
        (Algorithm::Rsa2048, "private rsa 2048 65537"),
    ] {
        Machine::new(algorithm).node_prints(script, details);
    }
}

#[test]
fn node_signs_jwts_with_ec_keys() {
    for (algorithm, alg, printed) in [
        (Algorithm::P256, "ES256", "ES256:64"),
        (Algorithm::P384, "ES384", "ES384:96"),
        (Algorithm::P521, "ES512", "ES512:132"),
    ] {
        let script = format!("console.log(jwt('{alg}', p1363));");
        Machine::new(algorithm).node_prints(&script, printed);
    }
}

#[test]
fn node_signs_jwts_with_rsa_keys() {
    let script = "console.log(jwt('RS256'), jwt('RS512'), jwt('PS256', pss), jwt('PS512', pss));";
    let printed = "RS256:256 RS512:256 PS256:256 PS512:256";
    Machine::new(Algorithm::Rsa2048).node_prints(script, printed);
}

#[test]
fn node_decrypts_and_agrees() {
    let decrypt = "
const sent = crypto.publicEncrypt({ key: certificate.publicKey, oaepHash: 'sha256' }, Buffer.from('x'));
console.log(crypto.privateDecrypt({ key, oaepHash: 'sha256' }, sent).toString());";
    Machine::new(Algorithm::Rsa2048).node_prints(decrypt, "x");
    let agree = "
const peer = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ours = crypto.diffieHellman({ privateKey: key, publicKey: peer.publicKey });
const theirs = crypto.diffieHellman(
    { privateKey: peer.privateKey, publicKey: certificate.publicKey });
console.log(ours.length, ours.equals(theirs));";
    Machine::new(Algorithm::P256).node_prints(agree, "32 true");
}

#[test]
fn pythons_ssl_proves_the_key_at_both_ends() {
    for algorithm in [Algorithm::P256, Algorithm::Rsa2048] {
        let machine = Machine::new(algorithm);
        for (key, certificate) in &machine.keys {
            let then = "print(*both(with_key(server()), with_key(client())))";
            let printed = script(&machine.gateway, then, key, certificate).ok();
            assert_eq!(printed, "TLSv1.2 TLSv1.3\n");
        }
        machine.gateway.has_nothing_loaded();
    }
}

#[test]
fn pythons_forked_children_sign_with_the_key_of_their_parent() {
    let then = "
one, other = with_key(server()), with_key(client())
both(one, other)
for pid in [child(lambda: both(one, other)) for _ in range(3)]:
    ended_well(pid)
both(one, other)";
    let machine = Machine::new(Algorithm::P256);
    for (key, certificate) in &machine.keys {
        script(&machine.gateway, then, key, certificate).ok();
    }
    machine.gateway.has_nothing_loaded();
}
