// Certificates for tests, made when the first test asks: an authority, and what it signed.
#pragma once

#include "catch.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace support {

/// PEM files of a certificate and its key.
struct identity {
    std::string certificate;
    std::string key;
};

class certificates {
public:
    static const certificates& all() {
        static const certificates made;
        return made;
    }
    certificates(const certificates&) = delete;
    certificates& operator=(const certificates&) = delete;
    ~certificates() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

private:
    certificates() = default;
    template <auto Free>
    struct freed {
        template <class T>
        void operator()(T* p) const {
            Free(p);
        }
    };
    using key_pointer = std::unique_ptr<EVP_PKEY, freed<EVP_PKEY_free>>;
    using certificate_pointer = std::unique_ptr<X509, freed<X509_free>>;
    struct issued {
        key_pointer key;
        certificate_pointer certificate;
    };

    static std::string make_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "sansocket-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        return name;
    }
    static void extend(X509* certificate, X509* by, int what, const std::string& value) {
        X509V3_CTX context;
        X509V3_set_ctx(&context, by, certificate, nullptr, nullptr, 0);
        auto* const extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
        REQUIRE(extension != nullptr);
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
    // `by`: null for one that signs itself. From `since` to `until`, in seconds from now.
    issued issue(const std::string& name, const issued* by, int extension, const std::string& value,
                 long since, long until) {
        issued out{key_pointer(EVP_EC_gen("P-256")), certificate_pointer(X509_new())};
        auto* const c = out.certificate.get();
        X509_set_version(c, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial_);
        X509_gmtime_adj(X509_getm_notBefore(c), since);
        X509_gmtime_adj(X509_getm_notAfter(c), until);
        X509_set_pubkey(c, out.key.get());
        X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
        auto* const issuer = by != nullptr ? by->certificate.get() : c;
        X509_set_issuer_name(c, X509_get_subject_name(issuer));
        extend(c, issuer, extension, value);
        auto* const signer = by != nullptr ? by->key.get() : out.key.get();
        REQUIRE(X509_sign(c, signer, EVP_sha256()) != 0);
        return out;
    }
    identity write(const std::string& name, const issued& what) {
        identity out{folder_ + "/" + name + ".pem", folder_ + "/" + name + ".key"};
        std::FILE* file = std::fopen(out.certificate.c_str(), "w");
        REQUIRE(file != nullptr);
        PEM_write_X509(file, what.certificate.get());
        std::fclose(file);
        file = std::fopen(out.key.c_str(), "w");
        REQUIRE(file != nullptr);
        PEM_write_PrivateKey(file, what.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        return out;
    }
    identity signed_by_authority(const std::string& name, const std::string& names,
                                 long since = -day, long until = day) {
        return write(name, issue(name, &authority_, NID_subject_alt_name, names, since, until));
    }

    static constexpr long day = 24 * 60 * 60;
    std::string folder_ = make_folder();
    long serial_ = 0;
    issued authority_ =
        issue("test authority", nullptr, NID_basic_constraints, "critical,CA:TRUE", -2 * day, day);

public:
    identity authority = write("authority", authority_);
    identity local = signed_by_authority("local", "DNS:localhost,IP:127.0.0.1");
    identity expired = signed_by_authority("expired", "DNS:localhost,IP:127.0.0.1", -2 * day, -day);
    identity elsewhere = signed_by_authority("elsewhere", "DNS:elsewhere.test,IP:192.0.2.1");
    /// The name stands where RFC 9525 does not look.
    identity nameless = signed_by_authority("localhost", "email:nobody@elsewhere.test");
    identity someone = signed_by_authority("someone", "email:someone@elsewhere.test");
};

}  // namespace support
