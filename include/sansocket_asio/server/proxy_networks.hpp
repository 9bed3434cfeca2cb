// proxy_networks.hpp
//
// Which proxies a server believes, as its options say it.
#pragma once

#include <sansocket_asio/server/detail/trusted_proxies.hpp>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace sansocket_asio {
namespace detail {
template <class, class>
class server_state;
}  // namespace detail

/// Proxies, by networks and addresses, such as "10.0.0.0/8" or "2001:db8::1", and "unix" for whoever
/// connects to a Unix socket. Only where there are some is compiled what reads their words.
class proxy_networks {
public:
    /// None.
    proxy_networks() = default;
    /// These. What is none of them, the server that is given them refuses.
    proxy_networks(std::vector<std::string> networks)  // NOLINT: as the list that it is
        : networks_(std::move(networks)), read_(&read_all) {}
    /// The same.
    proxy_networks(std::initializer_list<std::string> networks)
        : proxy_networks(std::vector<std::string>(networks)) {}

    /// As they were given.
    [[nodiscard]] const std::vector<std::string>& networks() const noexcept { return networks_; }

private:
    template <class, class>
    friend class detail::server_state;

    static detail::trusted_proxies read_all(const std::vector<std::string>& networks) {
        return detail::trusted_proxies(networks);
    }
    [[nodiscard]] detail::trusted_proxies read() const {
        return read_ == nullptr ? detail::trusted_proxies() : read_(networks_);
    }

    std::vector<std::string> networks_;
    detail::trusted_proxies (*read_)(const std::vector<std::string>&) = nullptr;
};

}  // namespace sansocket_asio
