/* A program that uses keys in ways that the openssl program does not. usage: lifecycle WHAT FILE… */

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SSL_CTX *tls;
static EVP_MD_CTX *signature;
static EVP_PKEY *key;

static EVP_PKEY *load(const char *file)
{
    BIO *in = BIO_new_file(file, "r");
    EVP_PKEY *loaded = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

    BIO_free(in);
    if (loaded == NULL) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    return loaded;
}

/* Registered before OpenSSL's own handler, and so called after OPENSSL_cleanup(). */
static void free_late(void)
{
    EVP_MD_CTX_free(signature);
    EVP_PKEY_free(key);
    SSL_CTX_free(tls);
    puts("freed");
    fflush(stdout);
}

static int free_after_cleanup(const char *file)
{
    atexit(free_late);
    tls = SSL_CTX_new(TLS_server_method());
    key = load(file);
    signature = EVP_MD_CTX_new();
    return SSL_CTX_use_PrivateKey_file(tls, file, SSL_FILETYPE_PEM) == 1
        && EVP_DigestSignInit(signature, NULL, EVP_sha256(), NULL, key) == 1;
}

static int print_parameters(const char *file)
{
    BIO *out = BIO_new_fp(stdout, BIO_NOCLOSE);

    key = load(file);
    return EVP_PKEY_print_params(out, key, 0, NULL) == 1;
}

/* Two keys: equal parameters, unequal keys, nothing left in the error queue. */
static int compare(const char *one, const char *other)
{
    EVP_PKEY *a = load(one), *b = load(other);

    return EVP_PKEY_parameters_eq(a, b) == 1 && EVP_PKEY_eq(a, b) == 0
        && EVP_PKEY_eq(a, load(one)) == 1 && ERR_peek_error() == 0;
}

/* One context signs again and again, copied in the middle, into its own input. */
static int sign_oddly(const char *file)
{
    unsigned char message[512] = "message", short_buffer[8];
    size_t size = sizeof(short_buffer);
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    key = load(file);
    signature = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(signature, NULL, EVP_sha256(), NULL, key) != 1
        || EVP_DigestSignUpdate(signature, message, 3) != 1
        || EVP_MD_CTX_copy_ex(copy, signature) != 1
        || EVP_DigestSignFinal(signature, short_buffer, &size) == 1)
        return 0;
    size = sizeof(message);
    if (EVP_DigestSignUpdate(copy, message + 3, 4) != 1
        || EVP_DigestSignFinal(copy, message, &size) != 1)
        return 0;
    EVP_MD_CTX_free(copy);
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    int ok = 0;

    if (strcmp(what, "free-after-cleanup") == 0)
        ok = free_after_cleanup(argv[2]);
    else if (strcmp(what, "print-parameters") == 0)
        ok = print_parameters(argv[2]);
    else if (strcmp(what, "sign-oddly") == 0)
        ok = sign_oddly(argv[2]);
    else if (strcmp(what, "compare") == 0 && argc > 3)
        ok = compare(argv[2], argv[3]);
    return ok ? 0 : 1;
}
