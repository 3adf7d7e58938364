#include "controlplane/service/object_json.h"

#include <utility>

#include "controlplane/language/values.h"
#include "dataplane/contract/pattern.h"
#include "dataplane/contract/table.h"

namespace sluice::service {
namespace {

bool is_name(const std::string& name, std::size_t size) {
    return !name.empty() && name.size() < size;
}

template <typename Enumeration>
Enumeration read_choice(Reader& in, const char* name, Enumeration last) {
    return static_cast<Enumeration>(in.number(name, static_cast<std::uint64_t>(last)));
}

}  // namespace

// ---- Tables ------------------------------------------------------------------------------------

void put_table(const TableOperation& operation, json& object) {
    const language::TableCommand& table = operation.command;
    object["do"] = "table";
    object["verb"] = static_cast<unsigned>(table.verb);
    object["table"] = table.table;
    const auto put = [&](const char* name, const auto& value, bool given) {
        if (given)
            object[name] = value;
    };
    put("set", table.set, table.set != 0);
    put("quiet", true, operation.quiet);
    put("counters", true, operation.counters);
    put("addresses", true, operation.values_as_addresses);
    if (table.type)
        object["type"] = static_cast<unsigned>(*table.type);
    put("flow", table.flow_fields, !table.flow_fields.empty());
    if (!table.value_types.empty()) {
        json& types = object["values"] = json::array();
        for (const language::TableValueType type : table.value_types)
            types.push_back(static_cast<unsigned>(type));
    }
    put("algorithm", table.algorithm, !table.algorithm.empty());
    if (table.limit)
        object["limit"] = *table.limit;
    put("locked", true, table.locked);
    put("missing", true, table.missing);
    put("or_flush", true, table.or_flush);
    if (!table.records.empty()) {
        // Key, value, key, value …
        json& records = object["records"] = json::array();
        for (const language::TableRecord& record : table.records) {
            records.push_back(record.key);
            records.push_back(record.value);
        }
    }
    put("lines", operation.lines, !operation.lines.empty());
    put("atomic", true, table.atomic);
    if (table.ttl_s)
        object["ttl"] = *table.ttl_s;
    put("other", table.other, !table.other.empty());
    put("file", table.file, !table.file.empty());
    put("content", table.content, !table.content.empty());
}

TableOperation read_table_operation(Reader& in) {
    using Verb = language::TableCommand::Verb;
    TableOperation operation;
    language::TableCommand& table = operation.command;
    table.verb = static_cast<Verb>(in.number("verb", static_cast<std::uint64_t>(Verb::load)));
    table.table = in.string("table");
    table.set = static_cast<std::uint8_t>(in.number("set", language::kSetCount - 1));
    operation.quiet = in.boolean("quiet");
    operation.counters = in.boolean("counters");
    operation.values_as_addresses = in.boolean("addresses");
    if (in.field("type") != nullptr)
        table.type = static_cast<language::TableType>(
            in.number("type", static_cast<std::uint64_t>(language::TableType::mac)));
    table.flow_fields = in.strings("flow");
    table.value_types = in.numbers<language::TableValueType>(
        "values", static_cast<std::uint64_t>(language::TableValueType::mark));
    table.algorithm = in.string("algorithm");
    if (in.field("limit") != nullptr)
        table.limit = static_cast<std::uint32_t>(in.number("limit", kMaximum32));
    table.locked = in.boolean("locked");
    table.missing = in.boolean("missing");
    table.or_flush = in.boolean("or_flush");
    std::vector<std::string> words = in.strings("records");
    for (std::size_t i = 0; i + 1 < words.size(); i += 2)
        table.records.push_back({std::move(words[i]), std::move(words[i + 1])});
    const bool wants_records =
        table.verb == Verb::add || table.verb == Verb::remove || table.verb == Verb::lookup;
    if (words.size() % 2 != 0 || (wants_records && words.empty()))
        in.fail("records");
    operation.lines = in.numbers<std::uint32_t>("lines", kMaximum32);
    if (!operation.lines.empty() && operation.lines.size() != table.records.size())
        in.fail("the lines of records");
    table.atomic = in.boolean("atomic");
    if (in.field("ttl") != nullptr)
        table.ttl_s = static_cast<std::uint32_t>(in.number("ttl", kMaximum32));
    table.other = in.string("other");
    table.file = in.string("file");
    table.content = in.string("content");
    constexpr std::size_t kSize = contract::kTableNameSize;
    if (!is_name(table.table, kSize) || (table.verb == Verb::swap && !is_name(table.other, kSize)))
        in.fail("the name of a table");
    return operation;
}

// ---- Pattern objects ---------------------------------------------------------------------------

void put_pattern(const PatternOperation& operation, json& object) {
    const language::PatternCommand& pattern = operation.command;
    object["do"] = "pattern";
    object["verb"] = static_cast<unsigned>(pattern.verb);
    object["object"] = pattern.object;
    const auto put = [&](const char* name, const auto& value, bool given) {
        if (given)
            object[name] = value;
    };
    put("quiet", true, operation.quiet);
    if (pattern.type)
        object["type"] = static_cast<unsigned>(*pattern.type);
    if (pattern.mode)
        object["mode"] = static_cast<unsigned>(*pattern.mode);
    if (pattern.direction)
        object["direction"] = static_cast<unsigned>(*pattern.direction);
    if (pattern.depth)
        object["depth"] = *pattern.depth;
    put("ignore_case", true, pattern.ignore_case);
    put("missing", true, pattern.missing);
    put("or_flush", true, pattern.or_flush);
    if (!pattern.entries.empty()) {
        // Pattern, value or null, pattern, value or null …
        json& entries = object["entries"] = json::array();
        for (const language::PatternEntry& entry : pattern.entries) {
            entries.push_back(entry.pattern);
            entries.push_back(entry.value ? json(*entry.value) : json());
        }
    }
    put("lines", operation.lines, !operation.lines.empty());
    put("other", pattern.other, !pattern.other.empty());
    put("file", pattern.file, !pattern.file.empty());
    put("content", pattern.content, !pattern.content.empty());
}

namespace {

void read_entries(Reader& in, language::PatternCommand& pattern) {
    using Verb = language::PatternCommand::Verb;
    bool is_value = false;
    in.each("entries", [&](const json& e) {
        if (!is_value)
            pattern.entries.push_back({in.as_string(e, "entries"), std::nullopt});
        else if (!e.is_null())
            pattern.entries.back().value =
                static_cast<std::uint32_t>(in.as_number(e, kMaximum32, "entries"));
        is_value = !is_value;
    });
    const bool wanted = pattern.verb == Verb::add || pattern.verb == Verb::remove;
    if (is_value || (wanted && pattern.entries.empty()))
        in.fail("entries");
}

}  // namespace

PatternOperation read_pattern_operation(Reader& in) {
    using Verb = language::PatternCommand::Verb;
    PatternOperation operation;
    language::PatternCommand& pattern = operation.command;
    pattern.verb = read_choice(in, "verb", Verb::lint);
    pattern.object = in.string("object");
    operation.quiet = in.boolean("quiet");
    if (in.field("type") != nullptr)
        pattern.type = read_choice(in, "type", language::PatternType::names);
    if (in.field("mode") != nullptr)
        pattern.mode = read_choice(in, "mode", language::PatternMode::stream);
    if (in.field("direction") != nullptr)
        pattern.direction = read_choice(in, "direction", language::PatternDirection::in);
    if (in.field("depth") != nullptr) {
        pattern.depth = static_cast<std::uint32_t>(in.number("depth", contract::kMaximumDepth));
        if (*pattern.depth == 0)
            in.fail("depth");
    }
    pattern.ignore_case = in.boolean("ignore_case");
    pattern.missing = in.boolean("missing");
    pattern.or_flush = in.boolean("or_flush");
    read_entries(in, pattern);
    operation.lines = in.numbers<std::uint32_t>("lines", kMaximum32);
    if (!operation.lines.empty() && operation.lines.size() != pattern.entries.size())
        in.fail("the lines of patterns");
    pattern.other = in.string("other");
    pattern.file = in.string("file");
    pattern.content = in.string("content");
    constexpr std::size_t kSize = contract::kPatternNameSize;
    if (!language::is_valid_name(pattern.object) || !is_name(pattern.object, kSize) ||
        (pattern.verb == Verb::swap && !is_name(pattern.other, kSize)))
        in.fail("the name of a pattern object");
    return operation;
}

json pattern_object_json(const ListedPatternObject& object) {
    json result = {{"name", object.name},
                   {"settings", object.settings},
                   {"references", object.references},
                   {"items", object.items},
                   {"database", object.database_bytes}};
    if (!object.patterns.empty()) {
        json& patterns = result["patterns"] = json::array();
        for (const ListedPattern& pattern : object.patterns) {
            json entry = {pattern.text, pattern.value};
            if (pattern.hits)
                entry.push_back(*pattern.hits);
            patterns.push_back(std::move(entry));
        }
    }
    if (object.running)
        result["running"] = {object.running->database_bytes, object.running->scratch_bytes,
                             object.running->stream_bytes, object.running->streams};
    return result;
}

ListedPatternObject read_pattern_object(const json& value, std::string& problem) {
    Reader in(value, problem);
    ListedPatternObject object;
    object.name = in.string("name");
    object.settings = in.string("settings");
    object.references = in.number("references", kMaximum64);
    object.items = in.number("items", kMaximum64);
    object.database_bytes = in.number("database", kMaximum64);
    in.each("patterns", [&](const json& e) {
        if (!e.is_array() || (e.size() != 2 && e.size() != 3))
            return in.fail("patterns");
        ListedPattern pattern{
            in.as_string(e[0], "patterns"),
            static_cast<std::uint32_t>(in.as_number(e[1], kMaximum32, "patterns")), std::nullopt};
        if (e.size() == 3)
            pattern.hits = in.as_number(e[2], kMaximum64, "patterns");
        object.patterns.push_back(std::move(pattern));
    });
    if (const json* running = in.field("running"); running != nullptr) {
        if (!running->is_array() || running->size() != 4) {
            in.fail("running");
            return object;
        }
        const auto number = [&](std::size_t i) {
            return in.as_number((*running)[i], kMaximum64, "running");
        };
        object.running = RunningPatterns{.database_bytes = number(0),
                                         .scratch_bytes = number(1),
                                         .stream_bytes = number(2),
                                         .streams = number(3)};
    }
    return object;
}

}  // namespace sluice::service
