// socket_file.hpp
//
// The file that listening on a Unix socket makes, and that nobody else removes.
#pragma once

#include <asio/detail/config.hpp>

#include <string>
#include <string_view>
#include <utility>

#if defined(ASIO_HAS_LOCAL_SOCKETS) && !defined(ASIO_WINDOWS)
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace sansocket_asio::detail {

// Removes the file that is there when it is made, once, unless another has taken its place.
class socket_file {
public:
    socket_file() = default;
    explicit socket_file(std::string_view path) : path_(path) {
        if (!look(device_, number_)) path_.clear();
    }
    socket_file(socket_file&& other) noexcept
        : path_(std::exchange(other.path_, {})), device_(other.device_), number_(other.number_) {}
    socket_file& operator=(socket_file&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(device_, other.device_);
        std::swap(number_, other.number_);
        return *this;
    }
    ~socket_file() { remove(); }

    void remove() noexcept {
        unsigned long long device = 0, number = 0;
        if (!path_.empty() && look(device, number) && device == device_ && number == number_)
            unlink();
        path_.clear();
    }

private:
#if defined(ASIO_HAS_LOCAL_SOCKETS) && !defined(ASIO_WINDOWS)
    bool look(unsigned long long& device, unsigned long long& number) const noexcept {
        struct ::stat is {};
        if (path_.empty() || path_[0] == '\0' || ::stat(path_.c_str(), &is) != 0) return false;
        device = is.st_dev;
        number = is.st_ino;
        return true;
    }
    void unlink() const noexcept { (void)::unlink(path_.c_str()); }
#else
    bool look(unsigned long long&, unsigned long long&) const noexcept { return false; }
    void unlink() const noexcept {}
#endif

    std::string path_;
    unsigned long long device_ = 0, number_ = 0;
};

}  // namespace sansocket_asio::detail
