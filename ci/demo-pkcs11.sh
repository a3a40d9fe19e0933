# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # ci/demo uses what is set here, and the other way round
# What ci/demo does with a PKCS#11 token.

hardware='a PKCS#11 token, by URI and by reference file'
backend_packages=(opensc softhsm2)
backend_crates=(hwkey-provider)
key_form=URI
key_file='reference file'
built_files='one file'
page='docs/keys-and-uris.md  keys on tokens, URIs, reference files, PINs, rights'
rights="That user may read the token, the PIN and its files, and write nothing; the CA's key is not its business."

# key_of NAME: what openssl takes.
key_of() {
    printf 'pkcs11:token=gateway;object=%s' "$1"
}

backend_options() {
    printf 'pkcs11-module-path = %s\npin-source = file:%s/pin\n' "$softhsm" "$dir"
}

prepare_hardware() {
    local key
    step "Make a token and two keys in it: one for the device, one for the MQTT broker."
    show 'printf "directories.tokendir = %s/tokens\n" "$PWD" >softhsm2.conf'
    show 'mkdir tokens; openssl rand -hex 4 >pin'
    show 'export SOFTHSM2_CONF=$PWD/softhsm2.conf PIN=$(cat pin)'
    show 'softhsm2-util --init-token --free --label gateway --pin $PIN --so-pin $PIN'
    for key in 'device --id 01' 'broker --id 02'; do
        show "pkcs11-tool --module $softhsm --token-label gateway --login --pin env:PIN \\
    --keypairgen --key-type EC:prime256v1 --usage-sign --label $key >/dev/null"
    done
}

# The token's own tool has made them.
make_keys() { :; }

write_key_files() {
    local name
    step "Write reference files, for programs that take a key only as a PEM file. They hold no secret."
    for name in device broker; do
        show "openssl pkey -in '$(key_of "$name")' -out $name.key.pem"
    done
    show 'head -n 4 device.key.pem'
}

prove_it() {
    step "The keys never left the token: it made them so, and hwkey writes no private key."
    show "env -u OPENSSL_CONF pkcs11-tool --module $softhsm --token-label gateway --login --pin env:PIN \\
    --list-objects --type privkey | grep -E 'label|Access'"
}

how_to_look_around() {
    cat <<'TEXT'
  export OPENSSL_CONF=$PWD/openssl.cnf SOFTHSM2_CONF=$PWD/softhsm2.conf
  openssl pkey -in device.key.pem -noout -text
  openssl storeutl -noout 'pkcs11:token=gateway'
TEXT
}

end_hardware() { :; }
