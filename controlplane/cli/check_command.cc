#include "controlplane/cli/check_command.h"

#include <vector>

#include "controlplane/cli/json_text.h"
#include "controlplane/cli/rule_source.h"
#include "controlplane/language/parse_error.h"

namespace sluice::cli {
namespace {

using analysis::CheckedFile;
using analysis::Remark;
using Json = nlohmann::ordered_json;

constexpr char kUsage[] = "; usage: ipfw check [--json] FILE...";

Json json_of(const std::vector<Remark>& remarks) {
    Json list = Json::array();
    for (const Remark& remark : remarks) {
        Json entry = Json::object();
        if (remark.line != 0)
            entry["line"] = remark.line;
        if (remark.column != 0)
            entry["column"] = remark.column;
        entry["message"] = remark.text;
        list.push_back(std::move(entry));
    }
    return list;
}

Json json_of(const std::string& path, const CheckedFile& file) {
    Json entry = {{"file", path},
                  {"accepted", file.ruleset.has_value()},
                  {"status", static_cast<int>(file.status)}};
    if (file.ruleset)
        entry["rules"] = file.ruleset->size();
    entry["errors"] = json_of(file.errors);
    entry["warnings"] = json_of(file.warnings);
    return entry;
}

void complain(const std::string& path, const CheckedFile& file, Output& output) {
    for (const Remark& error : file.errors)
        output.err += error.place(path) + "error: " + error.text + "\n";
    for (const Remark& warning : file.warnings)
        output.err += warning.place(path) + "warning: " + warning.text + "\n";
}

CheckedFile read_and_check(const std::string& path) {
    const Result<std::string> text =
        read_rules({.path = path, .preprocessor = {}, .preprocessor_arguments = {}});
    if (text)
        return analysis::check_file(*text, language::system_resolver());
    CheckedFile file;
    file.status = text.error().status;
    file.errors.push_back({0, 0, text.error().message});
    return file;
}

}  // namespace

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::optional<CheckedFile> checked_file(const std::string& path, Output& output) {
    CheckedFile file = read_and_check(path);
    if (file.ruleset)
        return file;
    file.warnings.clear();
    complain(path, file, output);
    output.status = file.status;
    return std::nullopt;
}

void run_check(std::span<const std::string> arguments, Output& output) {
    std::vector<std::string> paths;
    bool json = false;
    for (const std::string& word : arguments) {
        if (word == "--json") {
            json = true;
        } else if (word.starts_with('-') && word.size() > 1) {
            output.complain("check: unknown option " + language::quote(word) + kUsage);
            output.status = ExitStatus::usage;
            return;
        } else {
            paths.push_back(word);
        }
    }
    if (paths.empty()) {
        output.complain(std::string("check: a file is missing") + kUsage);
        output.status = ExitStatus::usage;
        return;
    }
    Json files = Json::array();
    for (const std::string& path : paths) {
        const CheckedFile file = read_and_check(path);
        if (output.status == ExitStatus::ok)
            output.status = file.status;
        if (json) {
            files.push_back(json_of(path, file));
            continue;
        }
        complain(path, file, output);
        if (!file.ruleset)
            continue;
        output.out += path + ": " + counted(file.ruleset->size(), "rule");
        if (!file.warnings.empty())
            output.out += ", " + counted(file.warnings.size(), "warning");
        output.out += "\n";
    }
    if (!json)
        return;
    const Json object = {{"files", std::move(files)}};
    output.out += json_text("sluice/check/1", object);
}

}  // namespace sluice::cli
