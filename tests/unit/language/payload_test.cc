// Options that look at what a packet carries, the quotes of their patterns, and `pattern …`.
#include <gtest/gtest.h>

#include "controlplane/language/command.h"
#include "controlplane/language/quoted_text.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

constexpr char kBody[] = "deny tcp from any to any ";

// The option as it is printed, or the error.
std::string printed(const std::string& option) {
    const std::string text = listed(kBody + option);
    const std::string front = std::string("00000 ") + kBody;
    return text.starts_with(front) ? text.substr(front.size()) : text;
}

Result<Invocation, ParseError> from_shell(const std::vector<std::string>& words) {
    return parse_command_line(words, fake_resolver());
}

// The option of a rule that comes from a shell, which has taken one pair of quotes away.
std::string from_shell_printed(const std::string& word) {
    const auto invocation =
        from_shell({"add", "deny", "tcp", "from", "any", "to", "any", "payload", word});
    if (!invocation)
        return invocation.error().text();
    const std::string text = print_rule(std::get<AddCommand>(invocation->command).rule);
    return text.substr(std::string(kBody).size());
}

TEST(QuotedText, BytesAndTheirOneText) {
    for (const auto& [word, bytes, text] : std::vector<std::array<std::string, 3>>{
             {R"("cmd.exe")", "cmd.exe", R"("cmd.exe")"},
             {R"("a b # // c")", "a b # // c", R"("a b # // c")"},
             {R"("\n\r\t\\\"")", "\n\r\t\\\"", R"("\n\r\t\\\"")"},
             {R"("\x41\X")", "", ""},
             {R"("\x41\xfF")", "A\xff", R"("A\xff")"},
             {R"("\0")", std::string(1, '\0'), R"("\x00")"},
             {R"("é")", "\xc3\xa9", R"("\xc3\xa9")"}}) {
        const auto read = parse_quoted(word);
        if (text.empty()) {
            EXPECT_FALSE(read) << word;
            continue;
        }
        ASSERT_TRUE(read) << word << ": " << read.error().message;
        EXPECT_EQ(*read, bytes) << word;
        EXPECT_EQ(quoted_text(bytes), text);
        EXPECT_EQ(*parse_quoted(text), bytes);
    }
}

TEST(QuotedText, ErrorsSayWhere) {
    for (const auto& [word, offset] :
         std::vector<std::pair<std::string, std::size_t>>{{R"("ab)", 0},
                                                          {R"("ab"c)", 4},
                                                          {R"("a\qb")", 2},
                                                          {R"("a\x4")", 2},
                                                          {R"("a\01")", 2},
                                                          {R"("ab\)", 3}}) {
        const auto read = parse_quoted(word);
        ASSERT_FALSE(read) << word;
        EXPECT_EQ(read.error().offset, offset) << word << ": " << read.error().message;
    }
}

TEST(QuotedText, EveryByteComesBack) {
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte)
        bytes += static_cast<char>(byte);
    EXPECT_EQ(*parse_quoted(quoted_text(bytes)), bytes);
}

TEST(Payload, PrintsWhatIsRead) {
    EXPECT_EQ(printed("payload web"), "payload web");
    EXPECT_EQ(printed("payload web,0x10"), "payload web,16");
    EXPECT_EQ(printed("not payload web,0"), "not payload web,0");
    EXPECT_EQ(printed(R"(payload "GET /a  b # c" // it is)"),
              R"(payload "GET /a  b # c" // it is)");
    EXPECT_EQ(printed(R"({ payload "}" or not payload "or" })"),
              R"({ payload "}" or not payload "or" })");
    EXPECT_EQ(printed(R"(http-host "WWW.Example.COM" http-uri "/Index")"),
              R"(http-host "www.example.com" http-uri "/Index")");
    EXPECT_EQ(printed(R"(tls-sni hosts,7 dns-qname "=example.com")"),
              R"(tls-sni hosts,7 dns-qname "=example.com")");
    // Quotes in a comment are prose.
    EXPECT_EQ(printed("// say \"hello"), "// say \"hello");
}

TEST(Payload, ErrorsSayWhere) {
    constexpr std::size_t kColumn = sizeof kBody;
    const auto at = [&](const std::string& option) {
        const auto rule = parse(kBody + option);
        EXPECT_FALSE(rule) << option;
        return rule ? 0 : rule.error().column - kColumn;
    };
    EXPECT_EQ(at("payload"), 8u);
    EXPECT_EQ(at("payload \"\""), 8u);
    EXPECT_EQ(at("payload \"ab\\q\""), 11u);
    EXPECT_EQ(at("payload \"ab"), 8u);
    EXPECT_EQ(at("payload \"ab\"c"), 12u);
    EXPECT_EQ(at("payload all"), 8u);
    EXPECT_EQ(at("payload we/b"), 8u);
    EXPECT_EQ(at("payload web,x"), 12u);
    EXPECT_EQ(at("payload web,4294967296"), 12u);
    EXPECT_EQ(at("payload \"" + std::string(513, 'x') + "\""), 8u);
    EXPECT_TRUE(parse(kBody + ("payload \"" + std::string(512, 'x') + "\"")));
}

TEST(Payload, AShellTakesQuotesAway) {
    EXPECT_EQ(from_shell_printed("\"cmd.exe\""), "payload \"cmd.exe\"");
    EXPECT_EQ(from_shell_printed("GET /a"), "payload \"GET /a\"");
    EXPECT_EQ(from_shell_printed("\\x06bad\\x03com"), "payload \"\\x06bad\\x03com\"");
    EXPECT_EQ(from_shell_printed("say \"x\""), "payload \"say \\\"x\\\"\"");
    EXPECT_EQ(from_shell_printed("\"a # b\""), "payload \"a # b\"");
    // That is a name as well as a pattern.
    EXPECT_EQ(from_shell_printed("cmd.exe"), "payload cmd.exe");
    EXPECT_EQ(from_shell_printed("web,7"), "payload web,7");
    EXPECT_TRUE(from_shell_printed("a#b").starts_with("column 39: \"#\""));
    // One argument is a line of a file.
    const auto line = from_shell({"add deny tcp from any to any payload \"GET /a # b\""});
    ASSERT_TRUE(line);
    EXPECT_EQ(print_rule(std::get<AddCommand>(line->command).rule),
              "deny tcp from any to any payload \"GET /a # b\"");
}

// ---- pattern …
// -----------------------------------------------------------------------------------

PatternCommand pattern(const std::string& line) {
    const auto words = split_line(line);
    EXPECT_TRUE(words) << line;
    const auto invocation = parse_command(*words, fake_resolver());
    EXPECT_TRUE(invocation) << line << ": " << invocation.error().text();
    const auto* command = std::get_if<PatternCommand>(&invocation->command);
    EXPECT_NE(command, nullptr) << line;
    return command != nullptr ? *command : PatternCommand();
}

std::string pattern_error(const std::string& line) {
    const auto words = split_line(line);
    if (!words)
        return words.error().text();
    const auto invocation = parse_command(*words, fake_resolver());
    return invocation ? "" : invocation.error().text();
}

using Verb = PatternCommand::Verb;

PatternCommand of(Verb verb) {
    PatternCommand command;
    command.verb = verb;
    command.object = "web";
    return command;
}

TEST(PatternCommand, Create) {
    PatternCommand wanted = of(Verb::create);
    EXPECT_EQ(pattern("pattern web create"), wanted);
    wanted.type = PatternType::names;
    wanted.mode = PatternMode::stream;
    wanted.depth = 4096;
    wanted.direction = PatternDirection::in;
    wanted.ignore_case = wanted.missing = wanted.or_flush = true;
    EXPECT_EQ(
        pattern("pattern web create type names mode stream depth 4096 dir in nocase or-flush"),
        wanted);
}

TEST(PatternCommand, PatternsAndTheirValues) {
    const PatternCommand add =
        pattern(R"(pattern web add "a b" 7 cmd.exe re:/union\s # x\/y/i 0x10 hex:9090 "5" # end)");
    EXPECT_EQ(add.verb, Verb::add);
    EXPECT_EQ(add.entries, (std::vector<PatternEntry>{{R"("a b")", 7},
                                                      {"cmd.exe", {}},
                                                      {R"(re:/union\s # x\/y/i)", 16},
                                                      {"hex:9090", {}},
                                                      {R"("5")", {}}}));
    const PatternCommand remove = pattern("pattern web delete cmd.exe 7");
    EXPECT_EQ(remove.verb, Verb::remove);
    EXPECT_EQ(remove.entries, (std::vector<PatternEntry>{{"cmd.exe", {}}, {"7", {}}}));
    const auto shell = from_shell({"pattern", "web", "add", "GET /a", "re:/a b/", "7"});
    ASSERT_TRUE(shell);
    EXPECT_EQ(std::get<PatternCommand>(shell->command).entries,
              (std::vector<PatternEntry>{{"\"GET /a\"", {}}, {"re:/a b/", 7}}));
}

TEST(PatternCommand, TheOthers) {
    for (const auto& [word, verb] :
         std::vector<std::pair<std::string, Verb>>{{"list", Verb::list},
                                                   {"info", Verb::info},
                                                   {"show", Verb::show},
                                                   {"destroy", Verb::destroy},
                                                   {"flush", Verb::flush},
                                                   {"lint", Verb::lint}})
        EXPECT_EQ(pattern("pattern web " + word), of(verb));
    EXPECT_EQ(pattern("pattern web swap other").other, "other");
    EXPECT_EQ(pattern("pattern web load /etc/web").file, "/etc/web");
    for (const char* word : {"list", "info", "destroy"})
        EXPECT_EQ(pattern(std::string("pattern all ") + word).object, "all");
}

TEST(PatternCommand, WhatIsRefused) {
    for (const auto& [line, begin] : std::vector<std::pair<std::string, std::string>>{
             {"pattern", "column 9: missing name"},
             {"pattern we/b list", "column 9: bad name"},
             {"pattern web", "column 13: missing pattern command"},
             {"pattern web lsit", "column 13: unknown pattern command"},
             {"pattern all flush", "column 9: \"all\" is no pattern object"},
             {"pattern web create type string", "column 25: unknown type"},
             {"pattern web create mode", "column 25: missing mode of patterns (packet or stream)"},
             {"pattern web create depth 0", "column 26: depth"},
             {"pattern web create dir up", "column 24: unknown direction"},
             {"pattern web create nocse", "column 20: unknown option"},
             {"pattern web add", "column 17: missing pattern"},
             {"pattern web add \"a", "column 17: the quote"},
             {"pattern web add re:/a b", "column 17: the expression"},
             {"pattern web add a 4294967296", "column 19: value"},
             {"pattern web swap all", "column 18: \"all\" is no pattern object"},
             {"pattern web list web", "column 18: found"},
             {"set 5 pattern web list", "column 15: pattern objects are in no set"}})
        EXPECT_TRUE(pattern_error(line).starts_with(begin)) << line << "\n" << pattern_error(line);
}

}  // namespace
}  // namespace sluice::language
