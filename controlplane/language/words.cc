#include "controlplane/language/words.h"

namespace sluice::language {

namespace {

// Enough for any command that a shell builds, little enough not to be a way to fill memory.
constexpr std::size_t kMaximumArgumentsLength = 65536;

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

bool is_control(char c) {
    unsigned char byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

ParseError error_at(std::size_t column, std::size_t word, std::string message) {
    return {ExitStatus::usage, column, word, std::move(message), {}};
}

}  // namespace

std::size_t Word::column_of(std::size_t offset) const {
    std::size_t base_offset = 0, base_column = column;
    for (const Jump& jump : jumps)
        if (jump.offset <= offset) {
            base_offset = jump.offset;
            base_column = jump.column;
        }
    return base_column + (offset - base_offset);
}

Result<std::vector<Word>, ParseError> split_line(std::string_view line) {
    // The line end belongs to the file, not to the line.
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
        line.remove_suffix(1);
    if (line.size() > kMaximumLineLength)
        return error_at(kMaximumLineLength + 1, 0,
                        "the line has " + std::to_string(line.size()) + " characters; at most " +
                            std::to_string(kMaximumLineLength) + " are read");
    std::vector<Word> words;
    bool joining = false;     // the last word ended in a comma
    bool in_comment = false;  // prose: its commas are no lists
    for (std::size_t i = 0; i < line.size();) {
        if (line[i] == '#')
            break;
        if (is_blank(line[i])) {
            ++i;
            continue;
        }
        std::size_t start = i;
        for (; i < line.size() && !is_blank(line[i]) && line[i] != '#'; ++i)
            if (is_control(line[i]))
                return error_at(i + 1, words.size(), "control character in the line");
        std::string_view text = line.substr(start, i - start);
        in_comment = in_comment || (!joining && text.starts_with("//"));
        if (joining) {
            words.back().jumps.push_back({words.back().text.size(), start + 1});
            words.back().text += text;
        } else {
            if (!in_comment && text.front() == ',')
                return error_at(start + 1, words.size(),
                                "blank before a comma; write lists as 1,2 or 1, 2");
            words.push_back({std::string(text), start + 1, {}});
        }
        joining = !in_comment && text.back() == ',';
    }
    return words;
}

Result<std::vector<Word>, ParseError> words_of(std::span<const std::string> arguments) {
    std::vector<Word> words;
    std::size_t column = 1;
    bool joining = false, in_comment = false;
    for (const std::string& argument : arguments) {
        for (std::size_t i = 0; i < argument.size(); ++i)
            if (is_control(argument[i]))
                return error_at(column + i, words.size(),
                                "control character in " + quote(argument));
        if (argument.empty())
            return error_at(column, words.size(), "empty word in the command");
        in_comment = in_comment || (!joining && argument.starts_with("//"));
        if (joining) {
            words.back().jumps.push_back({words.back().text.size(), column});
            words.back().text += argument;
        } else {
            if (!in_comment && argument.front() == ',')
                return error_at(column, words.size(),
                                "blank before a comma; write lists as 1,2 or 1, 2");
            words.push_back({argument, column, {}});
        }
        joining = !in_comment && argument.back() == ',';
        column += argument.size() + 1;
        if (column > kMaximumArgumentsLength)
            return error_at(column, words.size(), "the command is too long");
    }
    return words;
}

}  // namespace sluice::language
