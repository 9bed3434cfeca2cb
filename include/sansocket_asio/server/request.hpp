// request.hpp
//
// A request that came to a server, and what may be decided on it.
#pragma once

#include <sansocket_asio/server/peer_address.hpp>

#include <sansocket/wire/http_head.hpp>
#include <sansocket/wire/http_response.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sansocket_asio {

/// A request that a server is to answer. It and its views live until it is answered.
class server_request {
public:
    /// @param head  has to outlive this object.
    server_request(const sansocket::http_head& head, const peer_address& peer) noexcept
        : server_request(head, peer, peer) {}
    server_request(const sansocket::http_head& head, peer_address peer,
                   peer_address client) noexcept
        : head_(&head), peer_(std::move(peer)), client_(std::move(client)) {}

    /// "GET" of every upgrade.
    [[nodiscard]] std::string_view method() const noexcept { return head_->method(); }
    /// As it was sent, such as "/chat?room=1".
    [[nodiscard]] std::string_view target() const noexcept { return head_->target(); }
    /// The target's path, such as "/chat", percent-encoded as it was sent; "/" where an absolute URI
    /// has none, and "*" of OPTIONS.
    [[nodiscard]] std::string_view path() const noexcept {
        const std::string_view rest = resource();
        const std::string_view path = rest.substr(0, rest.find('?'));
        return path.empty() ? "/" : path;
    }
    /// Behind the path's "?", as it was sent; empty where there is none.
    [[nodiscard]] std::string_view query() const noexcept {
        const std::string_view rest = resource();
        const std::size_t at = rest.find('?');
        return at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    }
    /// The value of the first field called `name`, in any case, or nothing.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept {
        return head_->find(name);
    }
    /// The subprotocols that the client offers, in its order. RFC 6455 1.9.
    [[nodiscard]] std::vector<std::string_view> subprotocols() const {
        std::vector<std::string_view> offered;
        (void)head_->any_element("Sec-WebSocket-Protocol", [&offered](std::string_view element) {
            offered.push_back(element);
            return false;
        });
        return offered;
    }
    /// The whole head.
    [[nodiscard]] const sansocket::http_head& head() const noexcept { return *head_; }
    /// Where the client is, as far as is known: as the proxies of `server_options::trusted_proxies`
    /// say, and else `peer()`.
    [[nodiscard]] const peer_address& client() const noexcept { return client_; }
    /// Where the transport comes from: from the client, or from a proxy.
    [[nodiscard]] const peer_address& peer() const noexcept { return peer_; }

private:
    // Path and query: an absolute URI without its scheme and authority.
    [[nodiscard]] std::string_view resource() const noexcept {
        std::string_view rest = target();
        if (rest.starts_with('/')) return rest;
        const std::size_t scheme = rest.find("://");
        if (scheme == std::string_view::npos) return rest;
        rest.remove_prefix(scheme + 3);
        const std::size_t path = rest.find_first_of("/?");
        return path == std::string_view::npos ? std::string_view{} : rest.substr(path);
    }

    const sansocket::http_head* head_;
    peer_address peer_;
    peer_address client_;
};

/// What a server does with an upgrade. RFC 6455 4.2.2. By default it accepts.
class server_decision {
public:
    server_decision() = default;

    /// Accepts, with the subprotocol that the policy chooses.
    [[nodiscard]] static server_decision accept(
        std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d;
        d.answer_.fields = std::move(fields);
        return d;
    }
    /// Accepts with a subprotocol that the client offered, or, if empty, with none.
    [[nodiscard]] static server_decision accept_with(
        std::string subprotocol, std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d = accept(std::move(fields));
        d.subprotocol_ = std::move(subprotocol);
        return d;
    }
    /// Refuses with a status of 300 to 599, but not 304.
    [[nodiscard]] static server_decision refuse(
        std::uint16_t status, std::string body = {},
        std::vector<sansocket::http_field_value> fields = {}) {
        server_decision d;
        d.accepts_ = false;
        d.answer_ = {status, std::move(fields), std::move(body)};
        return d;
    }

    [[nodiscard]] bool accepts() const noexcept { return accepts_; }  ///< Whether it accepts.
    /// What was chosen instead of the policy's choice.
    [[nodiscard]] const std::optional<std::string>& subprotocol() const noexcept {
        return subprotocol_;
    }
    /// Status and body of a refusal, and the fields of either answer.
    [[nodiscard]] const sansocket::http_response& answer() const noexcept { return answer_; }

private:
    bool accepts_ = true;
    std::optional<std::string> subprotocol_;
    sansocket::http_response answer_;
};

}  // namespace sansocket_asio
