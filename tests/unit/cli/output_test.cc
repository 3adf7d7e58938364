#include "controlplane/cli/output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/cli/json_results.h"
#include "controlplane/language/names.h"

namespace sluice::cli {
namespace {

using service::OperationResult;

Output shown(std::vector<std::string> arguments, std::vector<OperationResult> results,
             std::uint32_t line = 0) {
    const auto invocation = language::parse_command_line(arguments, language::refusing_resolver());
    EXPECT_TRUE(invocation);
    Output output;
    show_results(invocation->command, invocation->flags, results, line, output);
    return output;
}

OperationResult rules(std::vector<ruleset::ListedRule> list) {
    OperationResult result;
    result.rules = std::move(list);
    return result;
}

const ruleset::ListedRule kHttp = {.number = 100,
                                   .set = 4,
                                   .text = "allow tcp from any to any 80 // web",
                                   .packets = 12,
                                   .bytes = 3456,
                                   .last_match_s = 0};
const ruleset::ListedRule kOption = {
    .number = 200, .set = 0, .text = "count ip from any to any in", .packets = 1, .bytes = 40};

TEST(Output, ListAndShow) {
    EXPECT_EQ(shown({"list"}, {rules({kHttp, kOption})}).out,
              "00100 allow tcp from any to any 80 // web\n00200 count ip from any to any in\n");
    EXPECT_EQ(shown({"show"}, {rules({kHttp, kOption})}).out,
              "00100 12 3456 allow tcp from any to any 80 // web\n"
              "00200  1   40 count ip from any to any in\n");
    EXPECT_EQ(shown({"-aS", "list"}, {rules({kHttp})}).out,
              "00100 12 3456 set 4 allow tcp from any to any 80 // web\n");
    EXPECT_EQ(shown({"-T", "list"}, {rules({kHttp})}).out,
              "00100          0 allow tcp from any to any 80 // web\n");
}

TEST(Output, FlagsThatPrintRulesAnew) {
    EXPECT_EQ(shown({"-b", "list"}, {rules({kHttp, kOption})}).out,
              "00100 allow // web\n00200 count // ...\n");
    EXPECT_EQ(shown({"-c", "list"}, {rules({kOption})}).out, "00200 count in\n");
    EXPECT_EQ(shown({"-N", "list"}, {rules({kHttp})}).out,
              "00100 allow tcp from any to any http // web\n");
}

TEST(Output, TargetsThatAreNotThere) {
    const Output output = shown({"list", "100", "7", "abc", "10-20", "200"},
                                {rules({kHttp}), rules({}), rules({}), rules({kOption})});
    EXPECT_EQ(output.out,
              "00100 allow tcp from any to any 80 // web\n00200 count ip from any to any in\n");
    EXPECT_EQ(output.err,
              "ipfw: rule 7 does not exist\n"
              "ipfw: invalid rule number: abc\n"
              "ipfw: no rules in range 10-20\n");
    EXPECT_EQ(output.status, ExitStatus::unavailable);
    EXPECT_EQ(shown({"list", "abc"}, {}).status, ExitStatus::usage);
}

TEST(Output, AddEchoesTheRule) {
    EXPECT_EQ(shown({"add", "allow", "ip", "from", "any", "to", "any"}, {rules({kOption})}).out,
              "00200 count ip from any to any in\n");
    EXPECT_EQ(
        shown({"-q", "add", "allow", "ip", "from", "any", "to", "any"}, {rules({kOption})}).out,
        "");
}

OperationResult pattern_object() {
    OperationResult result;
    result.pattern_objects = {{.name = "web",
                               .settings = "type bytes mode stream depth 8192 dir both nocase",
                               .references = 1,
                               .items = 2,
                               .database_bytes = 4096,
                               .patterns = {},
                               .running = {}}};
    return result;
}

TEST(Output, PatternObjects) {
    OperationResult result = pattern_object();
    EXPECT_EQ(shown({"pattern", "web", "info"}, {result}).out,
              "--- pattern(web) ---\n"
              " type bytes mode stream depth 8192 dir both nocase\n"
              " references: 1, items: 2, database: 4096 bytes\n");
    result.pattern_objects[0].patterns = {{"\"a b\"", 7, {}}, {"re:/x y/i", 0, {}}};
    EXPECT_EQ(shown({"pattern", "web", "list"}, {result}).out,
              "--- pattern(web) ---\n\"a b\" 7\nre:/x y/i\n");
    EXPECT_EQ(shown({"-q", "pattern", "web", "list"}, {result}).out,
              "--- pattern(web) ---\n\"a b\" 7\nre:/x y/i\n");
    for (service::ListedPattern& pattern : result.pattern_objects[0].patterns)
        pattern.hits = 5;
    EXPECT_EQ(shown({"pattern", "web", "show"}, {result}).out,
              "--- pattern(web) ---\n\"a b\" 7 hits 5\nre:/x y/i hits 5\n");
}

TEST(Output, PatternObjectsForPrograms) {
    OperationResult result = pattern_object();
    result.pattern_objects[0].patterns = {{"\"a b\"", 7, 5}};
    result.pattern_objects[0].running = service::RunningPatterns{
        .database_bytes = 1, .scratch_bytes = 2, .stream_bytes = 3, .streams = 4};
    const std::vector<std::string> words = {"pattern", "web", "show"};
    const auto invocation = language::parse_command_line(words, language::refusing_resolver());
    ASSERT_TRUE(invocation);
    ASSERT_TRUE(has_json_form(invocation->command));
    service::Response response;
    response.results = {result};
    Output output;
    show_json_results(invocation->command, invocation->flags, response, output);
    const auto json = nlohmann::json::parse(output.out);
    EXPECT_EQ(json, nlohmann::json::parse(R"({
        "schema": "sluice/patterns/1",
        "objects": [{"name": "web", "type": "bytes", "mode": "stream", "depth": 8192,
                     "dir": "both", "nocase": true, "references": 1, "items": 2,
                     "database_bytes": 4096,
                     "running": {"database_bytes": 1, "scratch_bytes": 2, "stream_bytes": 3,
                                 "streams": 4},
                     "patterns": [{"pattern": "\"a b\"", "value": 7, "hits": 5}]}]})"));
}

TEST(Output, ComplaintsAndLines) {
    OperationResult result;
    result.status = ExitStatus::unavailable;
    result.lines = {"Entry 100 cleared."};
    result.complaints = {"Entry 7 not found"};
    const Output loud = shown({"zero", "100", "7"}, {result});
    EXPECT_EQ(loud.out, "Entry 100 cleared.\n");
    EXPECT_EQ(loud.err, "ipfw: Entry 7 not found\n");
    EXPECT_EQ(loud.status, ExitStatus::unavailable);
    EXPECT_EQ(shown({"zero", "7"}, {result}, 12).err, "Line 12: Entry 7 not found\n");
    result.status = ExitStatus::ok;  // as the control plane answers to -q
    const Output quiet = shown({"-q", "zero", "100", "7"}, {result});
    EXPECT_EQ(quiet.out + quiet.err, "");
    EXPECT_EQ(quiet.status, ExitStatus::ok);
}

TEST(Output, Sysctls) {
    OperationResult read, written;
    read.sysctls = {{"net.inet.ip.fw.verbose", 1, std::nullopt}};
    written.sysctls = {{"net.inet.ip.fw.verbose", 1, 0}};
    EXPECT_EQ(shown({"sysctl", "net.inet.ip.fw.verbose"}, {read}).out,
              "net.inet.ip.fw.verbose: 1\n");
    EXPECT_EQ(shown({"sysctl", "-n", "net.inet.ip.fw.verbose"}, {read}).out, "1\n");
    EXPECT_EQ(shown({"sysctl", "-w", "net.inet.ip.fw.verbose=1"}, {written}).out,
              "net.inet.ip.fw.verbose: 0 -> 1\n");
    EXPECT_EQ(shown({"-q", "sysctl", "-w", "net.inet.ip.fw.verbose=1"}, {written}).out, "");
}

TEST(Output, SetShow) {
    const auto text = [](std::uint32_t disabled) {
        OperationResult result;
        result.disabled_sets = disabled;
        return shown({"set", "show"}, {result}).out;
    };
    EXPECT_TRUE(text(0).starts_with("enable 0 1 2 "));
    EXPECT_TRUE(text(0).ends_with(" 30\n"));
    EXPECT_TRUE(text(0b110).starts_with("disable 1 2 enable 0 3 4 "));
    EXPECT_TRUE(text(0x7fffffff).starts_with("disable 0 1 "));
    EXPECT_TRUE(text(0x7fffffff).ends_with(" 30\n"));
}

}  // namespace
}  // namespace sluice::cli
