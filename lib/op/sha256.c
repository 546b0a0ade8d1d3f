/* SHA-256 by libcrypto, which is loaded when it is first asked for. */
#include "op/sha256.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define LIBRARY "libcrypto.so." STRING(OPENSSL_SHLIB_VERSION)

/* The types are those of openssl/evp.h, so that the compiler checks every call. */
static struct {
	__typeof__(OSSL_LIB_CTX_get0_global_default) *context;
	__typeof__(EVP_MD_fetch) *fetch;
	__typeof__(EVP_MD_CTX_new) *ctx_new;
	__typeof__(EVP_MD_CTX_free) *ctx_free;
	__typeof__(EVP_DigestInit_ex) *init;
	__typeof__(EVP_DigestUpdate) *update;
	__typeof__(EVP_DigestFinal_ex) *final;
	EVP_MD *md; /* fetched once: a fetch for each file costs more than a small file */
} crypto;

static bool find_symbols(void *library)
{
	const struct {
		const char *name;
		void *slot;
	} symbols[] = {
	        {"OSSL_LIB_CTX_get0_global_default", &crypto.context},
	        {"EVP_MD_fetch", &crypto.fetch},
	        {"EVP_MD_CTX_new", &crypto.ctx_new},
	        {"EVP_MD_CTX_free", &crypto.ctx_free},
	        {"EVP_DigestInit_ex", &crypto.init},
	        {"EVP_DigestUpdate", &crypto.update},
	        {"EVP_DigestFinal_ex", &crypto.final},
	};
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		void *symbol = dlsym(library, symbols[i].name);
		if (!symbol) {
			return false;
		}
		*(void **)symbols[i].slot = symbol;
	}
	return true;
}

int sha256_load(struct vega_error *err)
{
	if (crypto.md) {
		return 0;
	}
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library || !find_symbols(library)) {
		return vega_fail(err, VEGA_FATAL,
		        "cannot load " LIBRARY " for sha256 (install OpenSSL's libssl3, or use "
		        "--algo xxh128): %s",
		        dlerror());
	}
	OSSL_LIB_CTX *context = crypto.context();
	if (!context) { /* a fetch from NULL would crash then */
		return vega_fail_nomem(err);
	}
	crypto.md = crypto.fetch(context, "SHA256", NULL);
	if (!crypto.md) {
		return vega_fail(err, VEGA_FATAL,
		        "OpenSSL's configuration offers no SHA256; use --algo xxh128, or mend "
		        "openssl.cnf");
	}
	return 0;
}

struct sha256 *sha256_new(void)
{
	return (struct sha256 *)crypto.ctx_new();
}

bool sha256_begin(struct sha256 *hash)
{
	return crypto.init((EVP_MD_CTX *)hash, crypto.md, NULL) == 1;
}

bool sha256_update(struct sha256 *hash, const void *bytes, size_t len)
{
	return crypto.update((EVP_MD_CTX *)hash, bytes, len) == 1;
}

bool sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE])
{
	return crypto.final((EVP_MD_CTX *)hash, digest, NULL) == 1;
}

void sha256_free(struct sha256 *hash)
{
	if (hash) {
		crypto.ctx_free((EVP_MD_CTX *)hash);
	}
}
