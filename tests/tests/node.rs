//! Node.js, which carries an OpenSSL of its own: what programs do most on all releases that are
//! maintained or still wide-spread, the rest on one.

use hwkey_tests::{Bench, Finished, KeyType, node};

/// With OpenSSL 3.0, 3.5 and 3.5.
const RELEASES: [u32; 3] = [20, 22, 24];
const USUAL: u32 = 22;

/// What each script begins with.
const PREAMBLE: &str = "
'use strict';
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const [KEY, CERT] = process.argv.slice(1).map((file) => fs.readFileSync(file, 'utf8'));
const certificate = new crypto.X509Certificate(CERT);
const load = () => crypto.createPrivateKey(KEY);
";

/// A bench with a key, its reference file and certificate.
fn bench(key: KeyType) -> (Bench, String, String) {
    let bench = Bench::new("node");
    bench.token.make_key(key, "key", "01");
    let (key, certificate) = bench.self_signed("key");
    (bench, key, certificate)
}

fn run(bench: &(Bench, String, String), script: &str) -> Finished {
    run_on(USUAL, bench, script)
}

fn run_on(
    release: u32,
    (bench, key, certificate): &(Bench, String, String),
    script: &str,
) -> Finished {
    let script = format!("{PREAMBLE}\n{script}");
    bench
        .run(node(release))
        .args(["-e", &script, key, certificate])
        .finish()
}

/// The script prints `printed` on every release.
#[track_caller]
fn succeeds_on_all(bench: &(Bench, String, String), script: &str, printed: &str) {
    for release in RELEASES {
        succeeds(run_on(release, bench, script), printed);
    }
}

#[track_caller]
fn succeeds(finished: Finished, printed: &str) {
    assert!(finished.ok, "{}", finished.all());
    assert_eq!(finished.stdout.trim(), printed, "{}", finished.stderr);
    assert_eq!(finished.stderr, "");
}

#[test]
fn the_key_has_its_type_and_size() {
    let script = "
const key = load();
const { namedCurve, modulusLength, publicExponent } = key.asymmetricKeyDetails;
console.log(key.type, key.asymmetricKeyType, namedCurve ?? `${modulusLength} ${publicExponent}`);
assert(certificate.checkPrivateKey(key));
assert(crypto.createPublicKey(KEY).equals(certificate.publicKey));";
    for (key, details) in [
        (KeyType::P256, "private ec prime256v1"),
        (KeyType::P384, "private ec secp384r1"),
        (KeyType::Rsa2048, "private rsa 2048 65537"),
    ] {
        succeeds_on_all(&bench(key), script, details);
    }
}

/// A JWT as libraries make it: the signature is checked with the certificate's key, and a changed
/// token refused.
const JWT: &str = "
function jwt(alg, options) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${encode({ alg, typ: 'JWT' })}.${encode({ sub: 'device', iat: 1 })}`;
    const hash = `sha${alg.slice(2)}`;
    const signature = crypto.sign(hash, Buffer.from(input), { key: load(), ...options });
    const [header, payload, last] = `${input}.${signature.toString('base64url')}`.split('.');
    const verify = (text) => crypto.verify(
        hash, Buffer.from(text), { key: certificate.publicKey, ...options },
        Buffer.from(last, 'base64url'));
    assert(verify(`${header}.${payload}`));
    assert(!verify(`${header}.${payload}x`));
    // The older way, in pieces.
    const pieces = crypto.createSign(hash).update(header).update('.').update(payload);
    assert(crypto.verify(
        hash, Buffer.from(input), { key: certificate.publicKey, ...options },
        pieces.sign({ key: KEY, ...options })));
    return `${alg}:${signature.length}`;
}
const pss = {
    padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
};
";

#[test]
fn a_jwt_is_signed_with_es256_and_es384() {
    for (key, algorithm, printed) in [
        (KeyType::P256, "ES256", "ES256:64"),
        (KeyType::P384, "ES384", "ES384:96"),
    ] {
        let script =
            format!("{JWT} console.log(jwt('{algorithm}', {{ dsaEncoding: 'ieee-p1363' }}));");
        succeeds_on_all(&bench(key), &script, printed);
    }
}

#[test]
fn a_jwt_is_signed_with_rs256_and_ps256() {
    let script = format!(
        "{JWT} console.log(jwt('RS256'), jwt('RS512'), jwt('PS256', pss), jwt('PS512', pss));"
    );
    let printed = "RS256:256 RS512:256 PS256:256 PS512:256";
    succeeds_on_all(&bench(KeyType::Rsa2048), &script, printed);
}

#[test]
fn an_https_server_and_its_client_use_the_token_over_tls_12_and_13() {
    let script = "
const server = https.createServer(
    { key: KEY, cert: CERT, ca: CERT, requestCert: true },
    (request, response) => {
        const { CN } = request.socket.getPeerCertificate().subject;
        response.end(`${request.socket.getProtocol()} ${CN} ${request.socket.authorized}`);
    });
const get = (version, identity = { key: KEY, cert: CERT }) => new Promise((resolve, reject) => {
    const options = {
        host: 'localhost', port: server.address().port, agent: false,
        ...identity, ca: CERT, minVersion: version, maxVersion: version,
    };
    https.get(options, (response) => {
        let body = '';
        response.on('data', (chunk) => body += chunk);
        response.on('end', () => resolve(body));
    }).on('error', reject);
});
server.listen(0, '127.0.0.1', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        console.log(await get(version));
        await assert.rejects(get(version, {}));
    }
    // The key of a running server is set again.
    server.setSecureContext({ key: KEY, cert: CERT, ca: CERT });
    console.log((await Promise.all(Array(8).fill().map(() => get('TLSv1.3')))).length);
    server.close();
});";
    for key in [KeyType::P256, KeyType::Rsa2048] {
        let printed = "TLSv1.2 localhost true\nTLSv1.3 localhost true\n8";
        succeeds_on_all(&bench(key), script, printed);
    }
}

#[test]
fn worker_threads_and_the_thread_pool_sign_at_once() {
    let script = "
const { Worker } = require('node:worker_threads');
const { promisify } = require('node:util');
const data = Buffer.from('to whom it may concern');
const check = (signature) =>
    assert(crypto.verify('sha256', data, certificate.publicKey, signature));
const worker = () => new Promise((resolve, reject) => {
    const code = `
        const crypto = require('node:crypto');
        const { parentPort, workerData } = require('node:worker_threads');
        const key = crypto.createPrivateKey(workerData.KEY);
        for (let number = 0; number < 10; number++)
            parentPort.postMessage(crypto.sign('sha256', workerData.data, key));`;
    let count = 0;
    new Worker(code, { eval: true, workerData: { KEY, data } })
        .on('message', (signature) => { check(signature); count++; })
        .on('error', reject)
        .on('exit', () => resolve(count));
});
(async () => {
    const key = load();
    const sign = promisify(crypto.sign);
    const pool = Promise.all(Array(40).fill().map(() => sign('sha256', data, key)));
    const counts = await Promise.all([worker(), worker(), worker()]);
    (await pool).forEach(check);
    console.log(...counts);
})();";
    for key in [KeyType::P256, KeyType::Rsa2048] {
        succeeds(run(&bench(key), script), "10 10 10");
    }
}

#[test]
fn the_public_half_is_exported_and_of_the_private_one_a_reference() {
    // The private key as JWK is left out: Node.js takes it for granted that the number is there,
    // whatever OpenSSL says, and aborts.
    let script = "
const key = load();
for (const type of key.asymmetricKeyType === 'ec' ? ['pkcs8', 'sec1'] : ['pkcs8', 'pkcs1'])
    assert.throws(() => key.export({ type, format: 'der' }));
const reference = key.export({ type: 'pkcs8', format: 'pem' });
assert(reference.includes('-----BEGIN PKCS#11 PROVIDER URI-----'), reference);
assert(crypto.createPrivateKey(reference).equals(key));
const jwk = crypto.createPublicKey(key).export({ format: 'jwk' });
assert.deepEqual(jwk, certificate.publicKey.export({ format: 'jwk' }));
console.log(jwk.kty);";
    for (key, kty) in [(KeyType::P256, "EC"), (KeyType::Rsa2048, "RSA")] {
        let finished = run(&bench(key), script);
        assert!(finished.ok, "{}", finished.all());
        assert_eq!(finished.stdout.trim(), kty, "{}", finished.stderr);
    }
}

#[test]
fn a_wrong_pin_is_an_exception_that_says_so() {
    let bench = bench(KeyType::P256);
    bench.0.write_pin("11112222");
    let script = "
assert.throws(load, (error) => { console.log(error.message); return true; });
assert.throws(() => https.createServer({ key: KEY, cert: CERT }));";
    let finished = run(&bench, script);
    assert!(finished.ok, "{}", finished.all());
    assert!(
        finished.stdout.contains("PIN refused"),
        "{}",
        finished.all()
    );
    assert!(!finished.all().contains("11112222"), "{}", finished.all());
}

/// OpenSSL keeps the answer to its question for our keys, and would give it to all who come later.
#[test]
fn a_program_that_has_signed_still_makes_software_keys() {
    for (key, software) in [
        (KeyType::P256, "'ec', { namedCurve: 'P-256' }"),
        (KeyType::Rsa2048, "'rsa', { modulusLength: 2048 }"),
    ] {
        let script = format!(
            "crypto.sign('sha256', 'text', load());
            const {{ privateKey, publicKey }} = crypto.generateKeyPairSync({software});
            const signature = crypto.sign('sha256', 'text', privateKey);
            console.log(crypto.verify('sha256', 'text', publicKey, signature));"
        );
        succeeds_on_all(&bench(key), &script, "true");
    }
}
