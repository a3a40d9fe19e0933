/* Makes library contexts, one after the other, loads a key in each, signs, and frees both.
 * usage: contexts CONF KEY */

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

static int sign(OSSL_LIB_CTX *library, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t size = sizeof(signature);
    int ok = EVP_DigestSignInit_ex(context, NULL, "SHA256", library, NULL, key, NULL) == 1
        && EVP_DigestSign(context, signature, &size, (const unsigned char *)"message", 7) == 1;

    EVP_MD_CTX_free(context);
    return ok;
}

static EVP_PKEY *load(OSSL_LIB_CTX *library, const char *file)
{
    BIO *in = BIO_new_file(file, "r");
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(in, NULL, NULL, NULL, library, NULL);

    BIO_free(in);
    return key;
}

int main(int argc, char **argv)
{
    int round;

    if (argc != 3)
        return 2;
    for (round = 0; round < 20; round++) {
        OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
        EVP_PKEY *key;

        if (OSSL_LIB_CTX_load_config(library, argv[1]) != 1
            || (key = load(library, argv[2])) == NULL || !sign(library, key)) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        EVP_PKEY_free(key);
        OSSL_LIB_CTX_free(library);
    }
    return 0;
}
