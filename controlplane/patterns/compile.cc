#include "controlplane/patterns/compile.h"

#include <hs.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "controlplane/patterns/pattern.h"

namespace sluice::patterns {
namespace {

struct FreeError {
    void operator()(hs_compile_error_t* error) const { hs_free_compile_error(error); }
};
using CompileError = std::unique_ptr<hs_compile_error_t, FreeError>;

struct FreeDatabase {
    void operator()(hs_database_t* database) const { hs_free_database(database); }
};
using CompiledDatabase = std::unique_ptr<hs_database_t, FreeDatabase>;

// A pattern as Hyperscan takes it.
struct Source {
    std::string text;
    unsigned flags = HS_FLAG_SINGLEMATCH;
    bool expression = false;
};

Source source_of(const std::string& canonical, bool ignore_case) {
    Source source;
    if (ignore_case)
        source.flags |= HS_FLAG_CASELESS;
    if (!is_expression(canonical)) {
        source.text = literal_bytes(canonical);
        return source;
    }
    const Expression expression = expression_of(canonical);
    source.expression = true;
    source.text = expression.text;
    for (const char letter : expression.letters)
        source.flags |= letter == 'i'   ? HS_FLAG_CASELESS
                        : letter == 'm' ? HS_FLAG_MULTILINE
                                        : HS_FLAG_DOTALL;
    return source;
}

std::string escaped(std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (plain)
            text += c;
        else
            text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return text;
}

// Hyperscan ends some of its sentences with the place: `… at index 7.`
std::size_t place_in(const std::string& message) {
    static constexpr std::string_view kIndex = "at index ";
    const std::size_t at = message.find(kIndex);
    std::size_t place = DatabaseError::npos;
    if (at != std::string::npos)
        std::from_chars(message.data() + at + kIndex.size(), message.data() + message.size(),
                        place);
    return place;
}

DatabaseError no_memory() {
    return {.pattern = DatabaseError::npos,
            .message =
                "the patterns take more memory to compile than there may be used for it: "
                "take fewer of them, or expressions with fewer and shorter repeats"};
}

DatabaseError refused(std::size_t pattern, const std::string& message) {
    const std::size_t place = place_in(message);
    return {.pattern = pattern,
            .message = "Hyperscan does not take the pattern: " + message,
            .column = place == DatabaseError::npos ? place : kExpressionColumn + place};
}

struct Outcome {
    CompiledDatabase database;
    CompileError error;
    hs_error_t status = HS_SUCCESS;
};

unsigned mode_of(const DatabaseOrder& order) {
    return order.mode == contract::PatternMode::stream ? HS_MODE_STREAM : HS_MODE_BLOCK;
}

// `first` to `last`, with their numbers.
Outcome compile_some(const std::vector<Source>& sources, std::size_t first, std::size_t last,
                     unsigned mode) {
    const hs_platform_info_t any_processor = {};
    const bool literals = std::none_of(sources.begin() + static_cast<std::ptrdiff_t>(first),
                                       sources.begin() + static_cast<std::ptrdiff_t>(last),
                                       [](const Source& source) { return source.expression; });
    std::vector<std::string> texts;
    std::vector<unsigned> flags, numbers;
    std::vector<std::size_t> lengths;
    for (std::size_t i = first; i < last; ++i) {
        const Source& source = sources[i];
        texts.push_back(literals || source.expression ? source.text : escaped(source.text));
        lengths.push_back(texts.back().size());
        flags.push_back(source.flags);
        numbers.push_back(static_cast<unsigned>(i));
    }
    std::vector<const char*> expressions;
    for (const std::string& text : texts)
        expressions.push_back(text.c_str());
    const auto count = static_cast<unsigned>(texts.size());
    Outcome outcome;
    hs_database_t* database = nullptr;
    hs_compile_error_t* error = nullptr;
    outcome.status = literals ? hs_compile_lit_multi(expressions.data(), flags.data(),
                                                     numbers.data(), lengths.data(), count, mode,
                                                     &any_processor, &database, &error)
                              : hs_compile_multi(expressions.data(), flags.data(), numbers.data(),
                                                 count, mode, &any_processor, &database, &error);
    outcome.database.reset(database);
    outcome.error.reset(error);
    return outcome;
}

// What can be said of an expression without compiling it.
std::optional<DatabaseError> look_at(const Source& source, std::size_t pattern, unsigned mode) {
    if (!source.expression)
        return std::nullopt;
    hs_expr_info_t* info = nullptr;
    hs_compile_error_t* failure = nullptr;
    const hs_error_t status =
        hs_expression_info(source.text.c_str(), source.flags, &info, &failure);
    const CompileError error(failure);
    const std::unique_ptr<hs_expr_info_t, decltype(&free)> owner(info, free);
    if (status == HS_NOMEM)
        return no_memory();
    if (status != HS_SUCCESS)
        return refused(pattern, error ? error->message : "it says nothing more.");
    if (info->min_width == 0)
        return DatabaseError{.pattern = pattern,
                             .message =
                                 "the expression matches where there is nothing, so it "
                                 "would be found in each packet"};
    if (mode == HS_MODE_STREAM && info->matches_only_at_eod != 0)
        return DatabaseError{.pattern = pattern,
                             .message =
                                 "the expression matches at the end of a stream only, which "
                                 "nobody knows before it is over: it needs an object in "
                                 "packet mode"};
    return std::nullopt;
}

DatabaseError blamed(const std::vector<Source>& sources, const Outcome& set, unsigned mode) {
    if (set.status == HS_NOMEM)
        return no_memory();
    const std::string message = set.error ? set.error->message : "it says nothing more.";
    if (set.error && set.error->expression >= 0 &&
        static_cast<std::size_t>(set.error->expression) < sources.size())
        return refused(static_cast<std::size_t>(set.error->expression), message);
    if (message.find("allocate memory") != std::string::npos)
        return no_memory();
    for (std::size_t i = 0; i < sources.size(); ++i)
        if (const Outcome single = compile_some(sources, i, i + 1, mode); !single.database)
            return refused(i, single.error ? single.error->message : message);
    return {.pattern = DatabaseError::npos,
            .message = "each pattern is good, but Hyperscan does not take all of them together: " +
                       message};
}

}  // namespace

Answer compile(const DatabaseOrder& order) {
    if (hs_valid_platform() != HS_SUCCESS)
        return DatabaseError{.message = "this processor is too old for Hyperscan"};
    const unsigned mode = mode_of(order);
    std::vector<Source> sources;
    for (const std::string& pattern : order.patterns)
        sources.push_back(source_of(pattern, order.ignore_case));
    for (std::size_t i = 0; i < sources.size(); ++i)
        if (auto error = look_at(sources[i], i, mode))
            return *error;
    const Outcome set = compile_some(sources, 0, sources.size(), mode);
    if (!set.database)
        return blamed(sources, set, mode);
    char* bytes = nullptr;
    std::size_t size = 0;
    if (hs_serialize_database(set.database.get(), &bytes, &size) != HS_SUCCESS)
        return no_memory();
    const std::unique_ptr<char, decltype(&free)> owner(bytes, free);
    const auto* begin = reinterpret_cast<const std::byte*>(bytes);
    return std::vector<std::byte>(begin, begin + size);
}

}  // namespace sluice::patterns
