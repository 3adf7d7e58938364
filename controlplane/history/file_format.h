// A file of the history: a header of comments, and a rule file behind it.
//
//     # sluice-ruleset 1
//     # number 17
//     # generation 43
//     # time 1764255600 1764255601
//     # user 1000 alice
//     # did add 100 allow ip from any to any
//     # difference 1 0 0
//     # restores 0
//     # text 2311 89ab01f2c3d4e5f6
//     # header 0123456789abcdef
//     -f flush
//     …
//
// `text` has length and CRC-64 of what follows the header, `header` has that of the lines above it.
// So `ipfw` loads such a file as it is, the list of the history takes one read for each file, and a
// file that is cut or changed anywhere is found out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "controlplane/history/entry.h"

namespace sluice::history {

inline constexpr unsigned kFormatVersion = 1;
inline constexpr std::size_t kMaximumHeader = 4096;
inline constexpr std::size_t kMaximumText = std::size_t{256} << 20;

// Control characters of texts become blanks; texts that are too long are cut.
std::string header_of(const Entry& entry, std::string_view text);

struct Header {
    Entry entry;
    std::size_t size = 0;       // of itself
    std::size_t text_size = 0;  // that follows
    std::uint64_t text_checksum = 0;
};
// `start`: the first bytes of the file, kMaximumHeader of them if it has as many. An error says
// what is wrong, as behind "FILE: ".
Result<Header> read_header(std::string_view start);

// Null: the text is that of the header.
const char* wrong_with(const Header& header, std::string_view text);

}  // namespace sluice::history
