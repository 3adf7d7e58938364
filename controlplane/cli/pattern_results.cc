#include "controlplane/cli/pattern_results.h"

#include <sstream>

#include "controlplane/cli/json_text.h"

namespace sluice::cli {
namespace {

using Json = nlohmann::ordered_json;
using language::PatternCommand;
using service::ListedPattern;
using service::ListedPatternObject;
using Verb = PatternCommand::Verb;

std::string info_text(const ListedPatternObject& object) {
    std::string text = " " + object.settings +
                       "\n references: " + std::to_string(object.references) +
                       ", items: " + std::to_string(object.items) +
                       ", database: " + std::to_string(object.database_bytes) + " bytes\n";
    if (object.running)
        text += " running: " + std::to_string(object.running->database_bytes) +
                " bytes, scratch: " + std::to_string(object.running->scratch_bytes) +
                " bytes, of a stream: " + std::to_string(object.running->stream_bytes) +
                " bytes, streams: " + std::to_string(object.running->streams) + "\n";
    return text;
}

// `type bytes mode packet depth 1460 dir both nocase`
void add_settings(const std::string& settings, Json& object) {
    std::istringstream words(settings);
    for (std::string word, value; words >> word;) {
        if (word == "nocase") {
            object[word] = true;
            continue;
        }
        words >> value;
        object[word] = word == "depth" ? Json(std::stoul(value)) : Json(value);
    }
    object.emplace("nocase", false);
}

Json object_json(const ListedPatternObject& object, bool with_patterns) {
    Json result = {{"name", object.name}};
    add_settings(object.settings, result);
    result["references"] = object.references;
    result["items"] = object.items;
    result["database_bytes"] = object.database_bytes;
    if (object.running)
        result["running"] = {{"database_bytes", object.running->database_bytes},
                             {"scratch_bytes", object.running->scratch_bytes},
                             {"stream_bytes", object.running->stream_bytes},
                             {"streams", object.running->streams}};
    if (!with_patterns)
        return result;
    Json& patterns = result["patterns"] = Json::array();
    for (const ListedPattern& pattern : object.patterns) {
        patterns.push_back({{"pattern", pattern.text}, {"value", pattern.value}});
        if (pattern.hits)
            patterns.back()["hits"] = *pattern.hits;
    }
    return result;
}

}  // namespace

bool asks_about_patterns(const PatternCommand& command) {
    return command.verb == Verb::list || command.verb == Verb::info || command.verb == Verb::show;
}

std::string patterns_text(const PatternCommand& command,
                          std::span<const ListedPatternObject> objects) {
    std::string text;
    for (const ListedPatternObject& object : objects) {
        text += "--- pattern(" + object.name + ") ---\n";
        if (command.verb == Verb::info)
            text += info_text(object);
        for (const ListedPattern& pattern : object.patterns) {
            text += pattern.text;
            if (pattern.value != 0)
                text += " " + std::to_string(pattern.value);
            if (pattern.hits)
                text += " hits " + std::to_string(*pattern.hits);
            text += "\n";
        }
    }
    return text;
}

std::string patterns_json(const PatternCommand& command,
                          std::span<const service::OperationResult> results) {
    Json objects = Json::array();
    for (const service::OperationResult& result : results)
        for (const ListedPatternObject& object : result.pattern_objects)
            objects.push_back(object_json(object, command.verb != Verb::info));
    return json_text("sluice/patterns/1", {{"objects", std::move(objects)}});
}

}  // namespace sluice::cli
