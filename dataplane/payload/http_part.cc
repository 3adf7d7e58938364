#include "dataplane/payload/http_part.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "dataplane/payload/lower_case.h"

namespace sluice::payload {
namespace {

constexpr std::size_t kLongestMethod = 64;
constexpr auto kNone = std::string_view::npos;

constexpr Part kNo{.found = Found::no, .bytes = {}};
constexpr Part kMore{.found = Found::more, .bytes = {}};

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 9110, 5.6.2: of what methods and names of fields are made.
bool is_token(char c) {
    return is_letter(c) || is_digit(c) ||
           (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && (is_blank(text.back()) || text.back() == '\r'))
        text.remove_suffix(1);
    return text;
}

bool equal(std::string_view text, std::string_view lower) {
    return text.size() == lower.size() &&
           std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
               return lower_case(static_cast<std::byte>(a)) == static_cast<std::byte>(b);
           });
}

struct RequestLine {
    Found found = Found::no;
    std::string_view method;
    std::string_view target;
    std::string_view fields;  // all that is behind the line
};

// Ends of lines in front of it are none of its.
RequestLine read_request_line(std::string_view start) {
    RequestLine line;
    while (!start.empty() && (start.front() == '\r' || start.front() == '\n'))
        start.remove_prefix(1);
    std::size_t method = 0;
    while (method < start.size() && method <= kLongestMethod && is_token(start[method]))
        ++method;
    if (method > kLongestMethod)
        return line;
    if (method < start.size() && (method == 0 || !is_blank(start[method])))
        return line;
    const std::size_t end = start.find('\n');
    if (end == kNone) {
        line.found = Found::more;
        return line;
    }
    // What has blanks in it is one target all the same.
    const std::string_view words = trimmed(start.substr(method, end - method));
    const std::size_t blank = words.find_last_of(" \t");
    if (blank == kNone || !words.substr(blank + 1).starts_with("HTTP/1."))
        return line;
    line.method = start.substr(0, method);
    line.target = trimmed(words.substr(0, blank));
    line.fields = start.substr(end + 1);
    line.found = line.target.empty() ? Found::no : Found::yes;
    return line;
}

// Of `scheme://user@host:port/…`; empty: this is of another form.
std::string_view authority_of(std::string_view target) {
    const std::size_t colon = target.find(':');
    if (colon == kNone || colon == 0 || !is_letter(target[0]) ||
        !std::all_of(target.begin(), target.begin() + static_cast<std::ptrdiff_t>(colon),
                     [](char c) {
                         return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
                     }) ||
        target.substr(colon + 1, 2) != "//")
        return {};
    const std::string_view rest = target.substr(colon + 3);
    return rest.substr(0, rest.find_first_of("/?#"));
}

Part host_part(std::string_view authority, PartScratch& scratch) {
    if (const std::size_t user = authority.rfind('@'); user != kNone)
        authority.remove_prefix(user + 1);
    const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : kNone;
    std::string_view host =
        authority.substr(0, bracket != kNone ? bracket + 1 : authority.find(':'));
    if (host.ends_with('.'))
        host.remove_suffix(1);
    if (host.size() > scratch.bytes.size())
        host.remove_prefix(host.size() - scratch.bytes.size());
    std::transform(host.begin(), host.end(), scratch.bytes.begin(),
                   [](char c) { return lower_case(static_cast<std::byte>(c)); });
    return {.found = host.empty() ? Found::no : Found::yes,
            .bytes = std::span(scratch.bytes).first(host.size())};
}

// `value`: from behind the colon to the end of all bytes. It may begin in a later line (RFC 9112,
// 5.2).
Part host_field(std::string_view value, PartScratch& scratch) {
    for (;;) {
        const std::size_t end = value.find('\n');
        if (end == kNone)
            return kMore;
        const std::string_view line = trimmed(value.substr(0, end));
        if (!line.empty())
            return host_part(line, scratch);
        value.remove_prefix(end + 1);
        if (value.empty())
            return kMore;
        if (!is_blank(value.front()))
            return kNo;
    }
}

}  // namespace

Part find_http_target(std::span<const std::byte> start) {
    const RequestLine line = read_request_line(text_of(start));
    return {.found = line.found, .bytes = bytes_of(line.target)};
}

Part find_http_host(std::span<const std::byte> start, PartScratch& scratch) {
    const RequestLine line = read_request_line(text_of(start));
    if (line.found != Found::yes)
        return {.found = line.found, .bytes = {}};
    const std::string_view authority =
        line.method == "CONNECT" ? line.target : authority_of(line.target);
    if (const Part host = host_part(authority, scratch); host.found == Found::yes)
        return host;
    for (std::string_view fields = line.fields;;) {
        const std::size_t end = fields.find('\n');
        const std::string_view field = fields.substr(0, end);
        if (const std::size_t colon = field.find(':');
            colon != kNone && !is_blank(field.front()) &&
            equal(trimmed(field.substr(0, colon)), "host"))
            return host_field(fields.substr(colon + 1), scratch);
        if (end == kNone)
            return kMore;
        if (trimmed(field).empty() && (field.empty() || !is_blank(field.front())))
            return kNo;
        fields.remove_prefix(end + 1);
    }
}

}  // namespace sluice::payload
