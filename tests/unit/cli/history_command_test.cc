#include "controlplane/cli/history_command.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/language/words.h"

namespace sluice::cli {
namespace {

using Words = std::vector<std::string>;
using Kind = service::HistoryOperation::Kind;

TEST(HistoryCommand, IsHistoryOrSave) {
    EXPECT_TRUE(is_history_command(Words{"history"}));
    EXPECT_TRUE(is_history_command(Words{"-q", "save", "file"}));
    EXPECT_FALSE(is_history_command(Words{"list", "history"}));
    EXPECT_FALSE(is_history_command(Words{"/etc/history"}));
    EXPECT_FALSE(is_history_command(Words{}));
}

TEST(HistoryCommand, IsRead) {
    const auto of = [](const Words& words) {
        const auto command = parse_history_command(words);
        EXPECT_TRUE(command) << command.error().text();
        return *command;
    };
    EXPECT_EQ(of({"history"}), HistoryCommand());
    EXPECT_TRUE(of({"history", "--json"}).json);
    EXPECT_EQ(of({"history", "show", "17"}).operation,
              (service::HistoryOperation{.kind = Kind::show, .number = 17}));
    EXPECT_TRUE(of({"history", "show", "17", "--json"}).json);
    EXPECT_EQ(of({"save"}).operation.kind, Kind::save);
    EXPECT_TRUE(of({"-q", "save"}).quiet);
    EXPECT_EQ(of({"save", "now.rules"}).operation.kind, Kind::running);
    EXPECT_EQ(of({"save", "now.rules"}).path, "now.rules");
}

TEST(HistoryCommand, WhatIsWrongIsRefusedWithItsStatus) {
    const struct {
        Words words;
        ExitStatus status;
    } bad[] = {{{"history", "all"}, ExitStatus::usage},
               {{"history", "show"}, ExitStatus::usage},
               {{"history", "show", "x"}, ExitStatus::data},
               {{"history", "show", "0"}, ExitStatus::data},
               {{"history", "show", "18446744073709551616"}, ExitStatus::data},
               {{"history", "show", "1", "2"}, ExitStatus::usage},
               {{"-n", "history"}, ExitStatus::usage},
               {{"save", "a", "b"}, ExitStatus::usage},
               {{"save", "--json"}, ExitStatus::usage}};
    for (const auto& each : bad) {
        const auto command = parse_history_command(each.words);
        ASSERT_FALSE(command) << each.words.back();
        EXPECT_EQ(command.error().status, each.status) << each.words.back();
    }
}

service::Response answer() {
    service::Response response;
    response.generation = 43;
    response.results.resize(1);
    response.results[0].history = {
        {.number = 17,
         .generation = 43,
         .time_s = 0,
         .written_s = 0,
         .uid = 1000,
         .user = "alice",
         .did = "add 1 count ip from any to any // \x1b[2J" + std::string(100, 'x'),
         .difference = {3, 1, 2},
         .restores = 0}};
    response.results[0].lines = {"-f flush", "add 1 count ip from any to any"};
    return response;
}

TEST(HistoryCommand, PrintsATableWithoutWhatMovesATerminal) {
    setenv("TZ", "UTC", 1);
    Output output;
    show_history({}, answer(), output);
    EXPECT_EQ(
        output.out,
        "NUMBER GENERATION  WHEN                 WHO         RULES         COMMAND\n"
        "    17         43  1970-01-01 00:00:00  alice       +3 -1 ~2      add 1 count ip from "
        "any to any // \\x1b[2Jxxxxxxxxxxxxxxxx...\n");
}

TEST(HistoryCommand, JsonHasNumbersAndASchema) {
    Output output;
    HistoryCommand command{.operation = {}, .json = true, .quiet = false, .path = {}};
    show_history(command, answer(), output);
    auto json = nlohmann::json::parse(output.out);
    EXPECT_EQ(json["schema"], "sluice/history/1");
    EXPECT_EQ(json["rulesets"][0]["number"], 17);
    EXPECT_EQ(json["rulesets"][0]["added"], 3);
    output = {};
    command.operation.kind = Kind::show;
    show_history(command, answer(), output);
    json = nlohmann::json::parse(output.out);
    EXPECT_EQ(json["schema"], "sluice/ruleset/1");
    EXPECT_EQ(json["generation"], 43);
    EXPECT_EQ(json["lines"].size(), 2u);
}

TEST(HistoryCommand, SavesAFileAsAWhole) {
    char name[] = "/tmp/sluice-save-XXXXXX";
    const std::string folder = mkdtemp(name);
    const std::string path = folder + "/now.rules";
    HistoryCommand command{
        .operation = {.kind = Kind::running}, .json = false, .quiet = false, .path = path};
    Output output;
    show_history(command, answer(), output);
    EXPECT_EQ(output.status, ExitStatus::ok) << output.err;
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_EQ(text.find("# The ruleset of generation 43, saved "), 0u);
    EXPECT_NE(text.find("\n-f flush\nadd 1 count ip from any to any\n"), std::string::npos);
    // A link stays one.
    std::ofstream(path) << "old";
    command.path = folder + "/link.rules";
    std::filesystem::create_symlink(path, command.path);
    show_history(command, answer(), output);
    EXPECT_TRUE(std::filesystem::is_symlink(command.path));
    EXPECT_EQ(std::filesystem::file_size(path), text.size());
    std::filesystem::remove(command.path);
    command.path = path;
    // A rule that no file can have, and entries that were too many.
    service::Response response = answer();
    response.results[0].lines.push_back("# table T: its 9 entries are too many to be kept");
    show_history(command, response, output);
    EXPECT_NE(output.err.find("too many to be kept"), std::string::npos);
    response.results[0].lines.push_back("add 2 " + std::string(language::kMaximumLineLength, 'x'));
    output = {};
    show_history(command, response, output);
    EXPECT_EQ(output.status, ExitStatus::data);
    output = {};
    command.path = folder + "/nowhere/now.rules";
    show_history(command, answer(), output);
    EXPECT_EQ(output.status, ExitStatus::os);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::cli
