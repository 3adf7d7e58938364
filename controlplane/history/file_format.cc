#include "controlplane/history/file_format.h"

#include <charconv>
#include <cstdio>
#include <optional>

#include "controlplane/ruleset/ruleset_text.h"

namespace sluice::history {
namespace {

constexpr std::string_view kMagic = "# sluice-ruleset ";
constexpr std::size_t kMaximumUser = 64, kMaximumDid = 512;

std::string one_line(std::string_view text, std::size_t maximum) {
    std::string line(text.substr(0, maximum));
    for (char& c : line)
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
            c = ' ';
    return line;
}

std::string hexadecimal(std::uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

Error wrong(const std::string& what) {
    return {ExitStatus::data, what};
}

// Takes line after line off the front. What is not as expected makes `failed` true, and the reads
// after it harmless.
class Lines {
  public:
    explicit Lines(std::string_view text) : text_(text), all_(text) {}

    std::string_view take(std::string_view prefix) {
        const std::size_t end = text_.find('\n');
        failed |= end == text_.npos || !text_.starts_with(prefix);
        if (failed)
            return {};
        const std::string_view value = text_.substr(prefix.size(), end - prefix.size());
        text_.remove_prefix(end + 1);
        return value;
    }

    // The next number of a line, and the blank behind it if there is more.
    std::uint64_t number(std::string_view& value, int base = 10) {
        std::uint64_t result = 0;
        const char* const last = value.data() + value.size();
        const auto [end, problem] = std::from_chars(value.data(), last, result, base);
        failed |= problem != std::errc() || (end != last && *end != ' ');
        if (failed)
            return 0;
        value.remove_prefix(
            std::min(static_cast<std::size_t>(end - value.data()) + 1, value.size()));
        return result;
    }
    std::uint64_t only_number(std::string_view prefix, int base = 10) {
        std::string_view value = take(prefix);
        const std::uint64_t result = number(value, base);
        failed |= !value.empty();
        return result;
    }

    std::size_t taken() const { return all_.size() - text_.size(); }

    bool failed = false;

  private:
    std::string_view text_, all_;
};

}  // namespace

std::string header_of(const Entry& entry, std::string_view text) {
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    std::string header =
        std::string(kMagic) + number(kFormatVersion) + "\n# number " + number(entry.number) +
        "\n# generation " + number(entry.generation) + "\n# time " + number(entry.time_s) + " " +
        number(entry.written_s) + "\n# user " + number(entry.uid) + " " +
        one_line(entry.user, kMaximumUser) + "\n# did " + one_line(entry.did, kMaximumDid) +
        "\n# difference " + number(entry.difference.added) + " " +
        number(entry.difference.removed) + " " + number(entry.difference.changed) +
        "\n# restores " + number(entry.restores) + "\n# text " + number(text.size()) + " " +
        hexadecimal(ruleset::checksum(text)) + "\n";
    return header + "# header " + hexadecimal(ruleset::checksum(header)) + "\n";
}

Result<Header> read_header(std::string_view start) {
    if (!start.starts_with(kMagic))
        return wrong("this is no ruleset of sluice-controlplane");
    Lines lines(start);
    if (const std::uint64_t version = lines.only_number(kMagic);
        !lines.failed && version != kFormatVersion)
        return wrong("it has format " + std::to_string(version) + ", and this release reads " +
                     std::to_string(kFormatVersion));
    Header header;
    Entry& entry = header.entry;
    entry.number = lines.only_number("# number ");
    entry.generation = lines.only_number("# generation ");
    std::string_view times = lines.take("# time ");
    entry.time_s = lines.number(times);
    entry.written_s = lines.number(times);
    std::string_view user = lines.take("# user ");
    entry.uid = static_cast<std::uint32_t>(lines.number(user));
    entry.user = user;
    entry.did = lines.take("# did ");
    std::string_view difference = lines.take("# difference ");
    for (std::size_t* count :
         {&entry.difference.added, &entry.difference.removed, &entry.difference.changed})
        *count = lines.number(difference);
    entry.restores = lines.only_number("# restores ");
    std::string_view text = lines.take("# text ");
    header.text_size = lines.number(text);
    header.text_checksum = lines.number(text, 16);
    const std::size_t above = lines.taken();
    const std::uint64_t sum = lines.only_number("# header ", 16);
    if (lines.failed)
        return wrong("its header is cut or damaged");
    if (sum != ruleset::checksum(start.substr(0, above)))
        return wrong("the checksum of its header is wrong");
    header.size = lines.taken();
    return header;
}

const char* wrong_with(const Header& header, std::string_view text) {
    if (text.size() != header.text_size)
        return "it is shorter or longer than its header says";
    return ruleset::checksum(text) == header.text_checksum ? nullptr : "its checksum is wrong";
}

}  // namespace sluice::history
