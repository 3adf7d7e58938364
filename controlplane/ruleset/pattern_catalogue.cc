#include "controlplane/ruleset/pattern_catalogue.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "controlplane/language/quoted_text.h"
#include "controlplane/language/values.h"

namespace sluice::ruleset {
namespace {

using contract::PatternDirection;
using contract::PatternMode;
using contract::PatternType;
using language::PayloadMatch;
using Text = Result<std::string, patterns::PatternError>;

// Those that rules need may always be there.
constexpr std::size_t kMaximumNamed =
    contract::kMaximumPatternObjects - static_cast<std::size_t>(PatternType::count_);

// The data plane tells so many values of one object apart.
constexpr std::size_t kMaximumLiterals = 256;

// What was typed without quotes has the same escapes as in quotes; an object of names has none.
Text read_as(PatternType type, std::string_view typed) {
    const bool is_quoted = language::begins_quoted(typed);
    if (type == PatternType::names && is_quoted) {
        const auto bytes = language::parse_quoted(typed);
        if (!bytes)
            return patterns::PatternError{bytes.error().offset, bytes.error().message};
        return patterns::read_pattern(type, *bytes);
    }
    const bool is_plain = type == PatternType::names || is_quoted || typed.starts_with("re:") ||
                          typed.starts_with("hex:");
    if (is_plain) {
        Text text = patterns::read_pattern(type, typed);
        if (text && language::begins_expression(*text))
            if (const std::size_t length = language::spaced_word_length(*text);
                length != text->size())
                return patterns::PatternError{
                    length - 1,
                    "here an expression would end in a rule file: write the slash as \\/"};
        return text;
    }
    Text text = patterns::read_pattern(type, language::in_quotes(typed));
    if (text)
        return text;
    patterns::PatternError error = text.error();
    error.column -= std::min<std::size_t>(error.column, 1);  // the quote is ours
    return error;
}

void insert(PatternObject& object, std::string text, std::uint32_t value) {
    object.places.emplace(text, static_cast<std::uint32_t>(object.patterns.size()));
    object.patterns.push_back({std::move(text), value});
}

void find_places_again(PatternObject& object) {
    object.places.clear();
    for (std::size_t i = 0; i < object.patterns.size(); ++i)
        object.places.emplace(object.patterns[i].text, static_cast<std::uint32_t>(i));
}

std::string called(const PatternObject& object) {
    return object.name.empty() ? "a pattern in a rule" : "pattern object " + object.name;
}

Error no_such_object(const std::string& name) {
    return {ExitStatus::data, "there is no pattern object " + name + "; `pattern " + name +
                                  " create` makes one, and a pattern that stands in the rule is "
                                  "written in double quotes (for a shell: '\"" +
                                  name + "\"')"};
}

std::string_view option_name(language::PayloadPart part) {
    return part == language::PayloadPart::http_uri ? "http-uri" : "payload";
}

struct FileLine {
    std::string_view pattern;
    std::uint32_t value = 0;
};

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

}  // namespace

std::vector<const PayloadMatch*> payload_matches(const language::Rule& rule) {
    std::vector<const PayloadMatch*> found;
    for (const language::Group& group : rule.options)
        for (const language::Term& term : group.any_of)
            if (const auto* payload = std::get_if<PayloadMatch>(&term.match))
                found.push_back(payload);
    return found;
}

contract::PatternType literal_type(language::PayloadPart part) {
    return language::is_name(part) ? PatternType::names : PatternType::bytes;
}

Result<std::string> literal_pattern(language::PayloadPart part,
                                    const language::PayloadLiteral& literal) {
    const PatternType type = literal_type(part);
    const Text text = patterns::read_pattern(
        type, type == PatternType::names ? literal.bytes : language::quoted_text(literal.bytes));
    if (!text)
        return Error{ExitStatus::data, "bad pattern " + language::quoted_text(literal.bytes) +
                                           ": " + text.error().message};
    return *text;
}

std::string settings_text(const PatternSettings& settings) {
    constexpr std::string_view kDirections[] = {"both", "out", "in"};
    return std::string("type ") + (settings.type == PatternType::names ? "names" : "bytes") +
           " mode " + (settings.mode == PatternMode::stream ? "stream" : "packet") + " depth " +
           std::to_string(settings.depth) + " dir " +
           std::string(kDirections[static_cast<std::size_t>(settings.direction)]) +
           (settings.ignore_case ? " nocase" : "");
}

// ---- Reading -----------------------------------------------------------------------------------

std::vector<PatternCatalogue::Pointer> PatternCatalogue::named() const {
    std::vector<Pointer> result;
    result.reserve(objects_->size());
    for (const auto& [name, object] : *objects_)
        result.push_back(object);
    return result;
}

std::vector<PatternCatalogue::Pointer> PatternCatalogue::all() const {
    std::vector<Pointer> result;
    for (const Pointer& object : literals_)
        if (object)
            result.push_back(object);
    const std::vector<Pointer> others = named();
    result.insert(result.end(), others.begin(), others.end());
    return result;
}

const PatternObject* PatternCatalogue::find(std::string_view name) const {
    const auto found = objects_->find(name);
    return found == objects_->end() ? nullptr : found->second.get();
}

std::optional<std::uint32_t> PatternCatalogue::literal_value(PatternType type,
                                                             const std::string& text) const {
    const Pointer& object = literals_[static_cast<std::size_t>(type)];
    if (!object)
        return std::nullopt;
    const auto found = object->places.find(text);
    if (found == object->places.end())
        return std::nullopt;
    return object->patterns[found->second].value;
}

std::optional<std::uint32_t> PatternCatalogue::literal_place(PatternType type) const {
    std::uint32_t place = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(type); ++i)
        place += literals_[i] != nullptr ? 1 : 0;
    if (!literals_[static_cast<std::size_t>(type)])
        return std::nullopt;
    return place;
}

std::optional<std::uint32_t> PatternCatalogue::place(std::string_view name) const {
    const auto found = objects_->find(name);
    if (found == objects_->end())
        return std::nullopt;
    const auto literals = static_cast<std::size_t>(
        std::count_if(literals_.begin(), literals_.end(),
                      [](const Pointer& object) { return object != nullptr; }));
    return static_cast<std::uint32_t>(
        literals + static_cast<std::size_t>(std::distance(objects_->begin(), found)));
}

Result<Done> PatternCatalogue::check(const language::Rule& rule) const {
    for (const PayloadMatch* payload : payload_matches(rule)) {
        if (const auto* literal = std::get_if<language::PayloadLiteral>(&payload->what)) {
            if (const auto text = literal_pattern(payload->part, *literal); !text)
                return text.error();
            continue;
        }
        const auto& reference = std::get<language::PatternReference>(payload->what);
        const PatternObject* object = find(reference.name);
        if (object == nullptr)
            return no_such_object(reference.name);
        if (object->settings.type == PatternType::names && !language::is_name(payload->part))
            return Error{ExitStatus::data, "pattern object " + reference.name +
                                               " is of type names, which http-host, "
                                               "tls-sni and dns-qname look for; " +
                                               std::string(option_name(payload->part)) +
                                               " looks for those of type bytes"};
    }
    return Done{};
}

Text PatternCatalogue::read(std::string_view name, std::string_view typed) const {
    return read_as(find(name)->settings.type, typed);
}

// ---- Changing ----------------------------------------------------------------------------------

PatternCatalogue::Objects& PatternCatalogue::writable() {
    if (objects_.use_count() > 1)
        objects_ = std::make_shared<Objects>(*objects_);
    return *objects_;
}

void PatternCatalogue::keep_database(const PatternObject& object) {
    if (object.database)
        spare_.push_back(object.database);
}

PatternObject& PatternCatalogue::changing(std::string_view name) {
    std::shared_ptr<PatternObject>& object = writable().find(name)->second;
    if (object.use_count() > 1)
        object = std::make_shared<PatternObject>(*object);
    keep_database(*object);
    object->database.reset();
    object->content = 0;
    complete_ = false;
    return *object;
}

PatternSettings PatternCatalogue::settings_of(const language::PatternCommand& command) {
    PatternSettings settings;
    if (command.type == language::PatternType::names)
        settings.type = PatternType::names;
    if (command.mode == language::PatternMode::stream)
        settings.mode = PatternMode::stream;
    if (command.direction == language::PatternDirection::out)
        settings.direction = PatternDirection::forward;
    if (command.direction == language::PatternDirection::in)
        settings.direction = PatternDirection::reverse;
    settings.depth = command.depth.value_or(
        settings.mode == PatternMode::stream ? contract::kStreamDepth : contract::kPacketDepth);
    settings.ignore_case = command.ignore_case;
    return settings;
}

Result<Done> PatternCatalogue::create(const std::string& name, const PatternSettings& settings) {
    if (objects_->size() >= kMaximumNamed)
        return Error{ExitStatus::os, "there are " + std::to_string(objects_->size()) +
                                         " pattern objects; the data plane takes no more"};
    auto object = std::make_shared<PatternObject>();
    object->name = name;
    object->settings = settings;
    writable().emplace(name, std::move(object));
    complete_ = false;
    return Done{};
}

void PatternCatalogue::adopt(PatternObject object) {
    find_places_again(object);
    if (object.name.empty()) {
        const auto type = static_cast<std::size_t>(object.settings.type);
        literals_[type] = std::make_shared<const PatternObject>(std::move(object));
        return;
    }
    const std::string name = object.name;
    writable()[name] = std::make_shared<PatternObject>(std::move(object));
}

PatternCatalogue::Change PatternCatalogue::add(std::string_view name, const std::string& text,
                                               std::uint32_t value, bool update) {
    const PatternObject& before = *find(name);
    const auto there = before.places.find(text);
    if (there == before.places.end()) {
        insert(changing(name), text, value);
        return Change::done;
    }
    if (!update)
        return Change::exists;
    const std::uint32_t place = there->second;
    if (before.patterns[place].value != value)
        changing(name).patterns[place].value = value;
    return Change::updated;
}

std::vector<PatternCatalogue::Change> PatternCatalogue::remove(
    std::string_view name, const std::vector<std::string>& texts) {
    std::vector<Change> changes;
    std::vector<bool> gone(find(name)->patterns.size());
    for (const std::string& text : texts) {
        const PatternObject& object = *find(name);
        const auto found = object.places.find(text);
        const bool there = found != object.places.end() && !gone[found->second];
        if (there)
            gone[found->second] = true;
        changes.push_back(there ? Change::done : Change::not_found);
    }
    if (std::find(gone.begin(), gone.end(), true) == gone.end())
        return changes;
    PatternObject& object = changing(name);
    std::size_t place = 0;
    std::erase_if(object.patterns, [&](const patterns::Pattern&) { return gone[place++]; });
    find_places_again(object);
    return changes;
}

void PatternCatalogue::reset(std::string_view name, const PatternSettings& settings) {
    PatternObject& object = changing(name);
    object.settings = settings;
    object.patterns.clear();
    object.places.clear();
}

void PatternCatalogue::destroy(std::string_view name) {
    Objects& objects = writable();
    const auto object = objects.find(name);
    keep_database(*object->second);
    objects.erase(object);
}

void PatternCatalogue::swap(std::string_view first, std::string_view second) {
    Objects& objects = writable();
    auto one = std::make_shared<PatternObject>(*objects.find(first)->second);
    auto other = std::make_shared<PatternObject>(*objects.find(second)->second);
    std::swap(one->name, other->name);
    objects.find(first)->second = std::move(other);
    objects.find(second)->second = std::move(one);
}

// ---- Files -------------------------------------------------------------------------------------

namespace {

// Calls `take(line number, column, the line without blanks around it)` for each line with a pattern
// until it returns an error.
template <typename Take>
Result<Done> each_file_line(std::string_view content, Take take) {
    std::size_t number = 0;
    for (std::size_t start = 0; start < content.size();) {
        const std::size_t end = std::min(content.find('\n', start), content.size());
        std::string_view line = content.substr(start, end - start);
        start = end + 1;
        ++number;
        while (!line.empty() && is_blank(line.back()))
            line.remove_suffix(1);
        std::size_t column = 0;
        while (!line.empty() && is_blank(line.front())) {
            line.remove_prefix(1);
            ++column;
        }
        if (line.empty() || line.front() == '#')
            continue;
        if (Result<Done> taken = take(number, column, line); !taken)
            return taken;
    }
    return Done{};
}

// `value<TAB>pattern`, or a pattern alone. `at` is the column of the pattern, from 0.
Result<FileLine> split_file_line(std::string_view line, std::size_t& at) {
    FileLine result;
    const std::size_t tab = line.find('\t');
    const std::string_view value = line.substr(0, tab);
    const bool has_value =
        tab != line.npos && !value.empty() &&
        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (has_value) {
        const auto [end, problem] =
            std::from_chars(value.data(), value.data() + value.size(), result.value);
        if (problem != std::errc{})
            return Error{ExitStatus::data, "value " + std::string(value) +
                                               " is out of range; expected 0 to 4294967295"};
        at += tab + 1;
        line.remove_prefix(tab + 1);
    }
    result.pattern = line;
    return result;
}

}  // namespace

Result<PatternCatalogue::LoadCounts> PatternCatalogue::load(std::string_view name,
                                                            const std::string& file,
                                                            std::string_view content) {
    const PatternObject& before = *find(name);
    PatternObject next;
    LoadCounts counts;
    const auto take = [&](std::size_t number, std::size_t column,
                          std::string_view line) -> Result<Done> {
        const auto where = [&](std::size_t at, const std::string& message) {
            return Error{ExitStatus::data, (file.empty() ? "" : file + ":") +
                                               std::to_string(number) + ":" +
                                               std::to_string(at + 1) + ": " + message};
        };
        const std::size_t line_column = column;
        const Result<FileLine> parts = split_file_line(line, column);
        if (!parts)
            return where(line_column, parts.error().message);
        Text text = read_as(before.settings.type, parts->pattern);
        if (!text)
            return where(column + text.error().column, text.error().message);
        const auto there = next.places.find(*text);
        if (there != next.places.end() && next.patterns[there->second].value != parts->value)
            return where(column, "the pattern " + *text + " stands here with the value " +
                                     std::to_string(parts->value) + " and further up with " +
                                     std::to_string(next.patterns[there->second].value));
        if (there != next.places.end())
            return Done{};
        const auto old = before.places.find(*text);
        if (old == before.places.end())
            ++counts.added;
        else if (before.patterns[old->second].value != parts->value)
            ++counts.changed;
        insert(next, std::move(*text), parts->value);
        return Done{};
    };
    if (const Result<Done> taken = each_file_line(content, take); !taken)
        return taken.error();
    counts.patterns = next.patterns.size();
    counts.removed = before.patterns.size() + counts.added - counts.patterns;
    PatternObject& object = changing(name);
    object.patterns = std::move(next.patterns);
    object.places = std::move(next.places);
    return counts;
}

std::optional<PatternCatalogue::Place> PatternCatalogue::place_in_file(contract::PatternType type,
                                                                       std::string_view content,
                                                                       std::string_view pattern) {
    std::optional<Place> found;
    (void)each_file_line(
        content,
        [&](std::size_t number, std::size_t column, std::string_view line) -> Result<Done> {
            const Result<FileLine> parts = split_file_line(line, column);
            if (found || !parts)
                return Done{};
            if (const Text text = read_as(type, parts->pattern); text && *text == pattern)
                found = Place{number, column};
            return Done{};
        });
    return found;
}

// ---- Databases ---------------------------------------------------------------------------------

void PatternCatalogue::set_literals(PatternType type, std::vector<std::string> texts) {
    std::sort(texts.begin(), texts.end());
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    Pointer& object = literals_[static_cast<std::size_t>(type)];
    const bool same =
        object
            ? std::equal(
                  texts.begin(), texts.end(), object->patterns.begin(), object->patterns.end(),
                  [](const std::string& text, const auto& pattern) { return text == pattern.text; })
            : texts.empty();
    if (same)
        return;
    if (object)
        keep_database(*object);
    object.reset();
    if (texts.empty())
        return;
    auto next = std::make_shared<PatternObject>();
    next->settings.type = type;
    for (std::string& text : texts)
        insert(*next, std::move(text), static_cast<std::uint32_t>(next->patterns.size() + 1));
    object = std::move(next);
    complete_ = false;
}

Result<Done> PatternCatalogue::finish(PatternObject& object, const patterns::DatabaseSource& source,
                                      std::vector<patterns::DatabaseOrder>& missing) {
    patterns::DatabaseOrder order{
        .mode = object.settings.mode, .ignore_case = object.settings.ignore_case, .patterns = {}};
    order.patterns.reserve(object.patterns.size());
    for (const patterns::Pattern& pattern : object.patterns)
        order.patterns.push_back(pattern.text);
    object.content = patterns::content_hash(order);
    if (object.settings.type != PatternType::bytes || object.patterns.empty())
        return Done{};
    for (const auto& database : spare_)
        if (database->content == object.content) {
            object.database = database;
            return Done{};
        }
    auto database = source(order);
    if (!database) {
        const patterns::DatabaseError& error = database.error();
        std::string where = called(object);
        if (error.pattern < object.patterns.size()) {
            where += ": " + object.patterns[error.pattern].text;
            blame_ = Blame{.object = object.name,
                           .pattern = object.patterns[error.pattern].text,
                           .column = error.column,
                           .why = error.message};
        }
        if (error.column != patterns::DatabaseError::npos)
            where += ": character " + std::to_string(error.column + 1);
        else if (blame_)
            blame_->column = 0;
        return Error{ExitStatus::data, where + ": " + error.message};
    }
    object.database = std::move(*database);
    if (!object.database) {
        object.content = 0;
        missing.push_back(std::move(order));
    }
    return Done{};
}

Result<Done> PatternCatalogue::make_databases(const patterns::DatabaseSource& source,
                                              std::vector<patterns::DatabaseOrder>& missing) {
    if (complete_)
        return Done{};
    std::size_t count = 0;
    for (const Pointer& object : all())
        count += object->patterns.size();
    if (count > contract::kMaximumPatterns)
        return Error{ExitStatus::unavailable,
                     "there are " + std::to_string(count) +
                         " patterns in all objects; the data plane takes at most " +
                         std::to_string(contract::kMaximumPatterns)};
    for (Pointer& literals : literals_) {
        if (!literals || literals->content != 0)
            continue;
        if (literals->patterns.size() > kMaximumLiterals)
            return Error{ExitStatus::unavailable,
                         "rules have " + std::to_string(literals->patterns.size()) +
                             " different patterns of their own; at most " +
                             std::to_string(kMaximumLiterals) +
                             " of them can be told apart, and any number in a pattern object"};
        auto object = std::make_shared<PatternObject>(*literals);
        if (Result<Done> done = finish(*object, source, missing); !done)
            return done;
        literals = std::move(object);
    }
    for (auto& [name, object] : writable()) {
        if (object->content != 0)
            continue;
        if (object.use_count() > 1)
            object = std::make_shared<PatternObject>(*object);
        if (Result<Done> done = finish(*object, source, missing); !done)
            return done;
    }
    if (!missing.empty())
        return Done{};
    spare_.clear();
    complete_ = true;
    return Done{};
}

}  // namespace sluice::ruleset
