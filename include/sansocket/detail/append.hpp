// append.hpp
//
// Texts, one behind the other.
//
// Each length of a literal that is given to std::string itself is a type of its
// own there, with templates of its own to instantiate; here all are string_views.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace sansocket::detail {

inline void append(std::string& out, std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) out.append(part.data(), part.size());
}

}  // namespace sansocket::detail
