#include "controlplane/service/table_file.h"

#include <algorithm>

#include "common/address.h"
#include "common/read_file.h"
#include "controlplane/ruleset/table_text.h"

namespace sluice::service {
namespace {

constexpr std::size_t kMaximumSize = std::size_t{64} << 20;
constexpr std::string_view kBlanks = " \t\r\f\v";

}  // namespace

Result<std::string> parse_table_file(std::string_view text, const std::string& name) {
    contract::TableDescriptor addresses;
    std::string result;
    result.reserve(text.size());
    std::size_t number = 0;
    for (std::size_t at = 0; at < text.size(); result += '\n') {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        at = end + 1;
        ++number;
        line = line.substr(0, line.find('#'));
        const auto refuse = [&](std::size_t column, const std::string& what) {
            return Error{ExitStatus::data, name + ":" + std::to_string(number) + ":" +
                                               std::to_string(column + 1) + ": " + what};
        };
        const std::size_t key = line.find_first_not_of(kBlanks);
        if (key == line.npos)
            continue;
        const std::size_t key_end = std::min(line.find_first_of(kBlanks, key), line.size());
        if (const auto read = ruleset::parse_table_key(addresses, line.substr(key, key_end - key));
            !read)
            return refuse(key, read.error().message);
        result += line.substr(key, key_end - key);
        const std::size_t value = line.find_first_not_of(kBlanks, key_end);
        if (value == line.npos)
            continue;
        const std::size_t value_end = std::min(line.find_first_of(kBlanks, value), line.size());
        if (const std::size_t more = line.find_first_not_of(kBlanks, value_end); more != line.npos)
            return refuse(more, "more words than a prefix and a value");
        result += ' ';
        result += line.substr(value, value_end - value);
    }
    return result;
}

Result<std::string> read_table_file(const std::string& path) {
    const Result<std::string> text = read_file(path, kMaximumSize);
    if (!text)
        return text.error();
    return parse_table_file(*text, path);
}

}  // namespace sluice::service
