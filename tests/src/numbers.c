/* Prints 64 random bytes of the TPM in hexadecimal digits. */

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

int main(void)
{
    EVP_RAND *rand = EVP_RAND_fetch(NULL, "TPM2-RAND", "provider=hwkey");
    EVP_RAND_CTX *context = EVP_RAND_CTX_new(rand, NULL);
    unsigned char bytes[64];
    size_t i;

    if (EVP_RAND_instantiate(context, 0, 0, NULL, 0, NULL) != 1
        || EVP_RAND_generate(context, bytes, sizeof(bytes), 0, 0, NULL, 0) != 1) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    for (i = 0; i < sizeof(bytes); i++)
        printf("%02x", bytes[i]);
    putchar('\n');
    return 0;
}
