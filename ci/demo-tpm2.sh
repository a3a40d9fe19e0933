# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # ci/demo uses what is set here, and the other way round
# What ci/demo does with a TPM 2.0.

hardware='a TPM 2.0, by TSS2 PRIVATE KEY files'
backend_packages=(libtss2-dev libtss2-tcti-swtpm0 pkg-config swtpm)
backend_crates=(hwkey-provider hwkey-tpm2)
key_form='file, which is of no use without its TPM'
key_file='key file'
built_files='the provider, and the part that speaks to TPMs,'
page='docs/tpm2.md           TPMs: keys in files and at handles, authorisation values, lockout'
rights="That user may use the TPM and read its files, and write nothing; the CA's key is not its business."

tpm=''
tpm_port=''
# Of the TPM that was started last:
started=''
started_port=''

key_of() {
    printf '%s.key.pem' "$1"
}

backend_options() {
    printf 'tpm2-tcti = swtpm:host=127.0.0.1,port=%s\n' "$tpm_port"
}

prepare_hardware() {
    step "Start a TPM in software. On a gateway there is one: leave out tpm2-tcti, /dev/tpmrm0 is found."
    show "install -m 755 $built/libhwkey_tpm2.so hwkey-tpm2.so"
    start_tpm tpm
    tpm=$started
    tpm_port=$started_port
}

# start_tpm DIRECTORY: sets started, started_port.
start_tpm() {
    local attempt
    show "mkdir $1"
    for attempt in 1 2 3 4 5; do
        # Two ports that nobody uses: found by trying. Without openssl.cnf: swtpm uses OpenSSL, too.
        started_port=$((20000 + RANDOM % 12000))
        printf '   %s$ swtpm socket --tpm2 --tpmstate dir=%s --flags not-need-init,startup-clear \\\n' "$bold" "$1"
        printf '       --server type=tcp,port=%s --ctrl type=tcp,port=%s &%s\n' \
            "$started_port" $((started_port + 1)) "$plain"
        env -u OPENSSL_CONF swtpm socket --tpm2 --tpmstate "dir=$1" --flags not-need-init,startup-clear \
            --server "type=tcp,port=$started_port" --ctrl "type=tcp,port=$((started_port + 1))" \
            >"$1.log" 2>&1 </dev/null &
        started=$!
        ! wait_until tpm_has_decided || ! kill -0 "$started" 2>/dev/null || return 0
        say "Port taken."
    done
    give_up "swtpm does not start."
}

# It listens, or it has ended.
tpm_has_decided() {
    ! kill -0 "$started" 2>/dev/null || (: >"/dev/tcp/127.0.0.1/$((started_port + 1))") 2>/dev/null
}

make_keys() {
    local name
    step "Let the TPM make two keys: one for the device, one for the MQTT broker."
    for name in device broker; do
        show "openssl genpkey -propquery provider=hwkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \\
    -pkeyopt hwkey_uri:tpm2: -out $name.key.pem"
    done
    say "The files hold the keys, encrypted by the TPM."
    show 'head -n 3 device.key.pem'
}

# They are there already.
write_key_files() { :; }

prove_it() {
    step "The keys are of no use without their TPM: another one does not take them."
    start_tpm other-tpm
    show "sed 's/port=.*/port=$started_port/' openssl.cnf >other.cnf"
    refused "OPENSSL_CONF=\$PWD/other.cnf openssl pkey -in device.key.pem -noout 2>&1 | grep -m1 hwkey" \
        "the key belongs to another TPM"
    kill "$started"
}

how_to_look_around() {
    cat <<TEXT
  env -u OPENSSL_CONF swtpm socket --tpm2 --tpmstate dir=tpm --flags not-need-init,startup-clear \\
      --server type=tcp,port=$tpm_port --ctrl type=tcp,port=$((tpm_port + 1)) &
  export OPENSSL_CONF=\$PWD/openssl.cnf
  openssl pkey -in device.key.pem -noout -text
TEXT
}

end_hardware() {
    local process
    for process in "$tpm" "$started"; do
        [ -z "$process" ] || kill "$process" 2>/dev/null || true
    done
}
