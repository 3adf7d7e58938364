#include "controlplane/language/rule_file.h"

#include <gtest/gtest.h>

#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

std::vector<std::string> texts(std::string_view line) {
    auto words = split_line(line);
    EXPECT_TRUE(words) << line;
    std::vector<std::string> result;
    if (words)
        for (const Word& word : *words)
            result.push_back(word.text);
    return result;
}

using Texts = std::vector<std::string>;

TEST(SplitLine, Words) {
    EXPECT_EQ(texts("  add\tallow  ip\r\n"), (Texts{"add", "allow", "ip"}));
    EXPECT_EQ(texts("add # comment"), Texts{"add"});
    EXPECT_EQ(texts("add al#low"), (Texts{"add", "al"}));
    EXPECT_EQ(texts("# only"), Texts{});
    EXPECT_EQ(texts(""), Texts{});
    EXPECT_EQ(texts("1, 2,  3 4"), (Texts{"1,2,3", "4"}));
    EXPECT_EQ(texts("a // b, c ,d"), (Texts{"a", "//", "b,", "c", ",d"}));
    EXPECT_EQ(texts("a \\"), (Texts{"a", "\\"}));
    EXPECT_FALSE(split_line("1 ,2"));
    EXPECT_FALSE(split_line("add \x01"));
    EXPECT_TRUE(split_line(std::string(kMaximumLineLength, 'a')));
    EXPECT_FALSE(split_line(std::string(kMaximumLineLength + 1, 'a')));
}

TEST(SplitLine, OnlyTextIsRead) {
    auto column = [](std::string_view line) {
        auto words = split_line(line);
        auto arguments = words_of(std::vector<std::string>{"a", std::string(line)});
        EXPECT_EQ(static_cast<bool>(words), static_cast<bool>(arguments)) << line;
        if (!words && !arguments) {
            EXPECT_EQ(arguments.error().column, words.error().column + 2) << line;
        }
        return words ? 0u : words.error().column;
    };
    EXPECT_EQ(column("gr\xc3\xbc\xc3\x9f\x65_\xe2\x82\xac_\xf0\x9f\x94\xa5"), 0u);
    EXPECT_EQ(column("gr\xfc\xdf\x65"), 3u);    // Latin-1
    EXPECT_EQ(column("a\xc3"), 2u);             // cut off
    EXPECT_EQ(column("\xc0\xaf"), 1u);          // overlong
    EXPECT_EQ(column("\xe0\x80\xaf"), 1u);      // overlong
    EXPECT_EQ(column("ab\xed\xa0\x80"), 3u);    // a surrogate
    EXPECT_EQ(column("\xf4\x90\x80\x80"), 1u);  // beyond U+10ffff
    EXPECT_EQ(column("\x80"), 1u);
    EXPECT_EQ(column("a\x1b[2J"), 2u);
    EXPECT_EQ(column("a\x7f"), 2u);
    EXPECT_EQ(column("a\xc2\x9b"), 2u);  // CSI in one character
    EXPECT_EQ(column("a\xc2\xa0"), 0u);
    EXPECT_EQ(texts("add # gr\xfc\xdf\x65"), Texts{"add"});
}

TEST(SplitLine, Columns) {
    auto words = split_line("  add 1, 23 x");
    ASSERT_TRUE(words);
    ASSERT_EQ(words->size(), 3u);
    EXPECT_EQ((*words)[0].column, 3u);
    EXPECT_EQ((*words)[1].column_of(0), 7u);
    EXPECT_EQ((*words)[1].column_of(2), 10u);
    EXPECT_EQ((*words)[1].column_of(3), 11u);
    EXPECT_EQ((*words)[2].column, 13u);

    words = words_of(std::vector<std::string>{"add", "1,", "23", "x"});
    ASSERT_TRUE(words);
    EXPECT_EQ((*words)[1].text, "1,23");
    EXPECT_EQ((*words)[1].column_of(2), 8u);
    EXPECT_EQ((*words)[2].column, 11u);
}

TEST(RuleFile, LinesAreCommands) {
    RuleFile file = parse_file(
        "# a comment\n"
        "-q flush\n"
        "\n"
        "add 100 allow ip from any to any // last\n"
        "table 1 add 10.0.0.0/8\r\n"
        "set disable 5",
        fake_resolver());
    ASSERT_TRUE(file.errors.empty()) << file.errors.front().text();
    ASSERT_EQ(file.lines.size(), 4u);
    EXPECT_EQ(file.lines[0].line, 2u);
    EXPECT_TRUE(file.lines[0].invocation.flags.quiet);
    EXPECT_EQ(file.lines[1].line, 4u);
    EXPECT_TRUE(std::holds_alternative<AddCommand>(file.lines[1].invocation.command));
    EXPECT_EQ(file.lines[3].line, 6u);
}

TEST(RuleFile, AllErrorsAreCollected) {
    RuleFile file = parse_file(
        "add allow ip from any to any\n"
        "add alow ip from any to any\n"
        "add allow tcp from any to any 65536\n"
        "ipfw add allow ip from any to any\n",
        fake_resolver());
    ASSERT_EQ(file.errors.size(), 3u);
    EXPECT_EQ(file.errors[0].text(),
              "Line 2: column 5: invalid action \"alow\"; expected an action; did you mean "
              "\"allow\"?");
    EXPECT_EQ(file.errors[1].line, 3u);
    EXPECT_EQ(file.errors[1].error.column, 31u);
    EXPECT_EQ(file.errors[2].error.status, ExitStatus::usage);
    EXPECT_EQ(file.lines.size(), 1u);
}

// Help in place of the command would be a line that silently does nothing.
TEST(RuleFile, HelpIsAnError) {
    for (const char* line : {"help", "-h", "  -qh add deny ip from any to any"}) {
        RuleFile file = parse_file(line, fake_resolver());
        ASSERT_EQ(file.errors.size(), 1u) << line;
        EXPECT_EQ(file.errors.front().error.status, ExitStatus::usage) << line;
        EXPECT_TRUE(file.lines.empty()) << line;
    }
    EXPECT_EQ(parse_file("\n  help", fake_resolver()).errors.front().text(),
              "Line 2: column 3: help cannot be asked for in a rule file");
}

TEST(RuleFile, ErrorsAreBounded) {
    std::string text;
    for (int i = 0; i < 100; ++i)
        text += "frob\n";
    EXPECT_EQ(parse_file(text, fake_resolver()).errors.size(), kMaximumFileErrors);
}

// Rulesets that people use; they are not part of the repository.
TEST(Rulesets, ParseOrAreRefusedWithAReason) {
    auto folder = shared_directory() / "rulesets";
    if (!std::filesystem::exists(folder))
        GTEST_SKIP() << folder << " is absent";
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::string name = entry.path().filename();
        RuleFile file = parse_file(read_file(entry.path()), system_resolver());
        ++files;
        if (name.starts_with("yanet-")) {
            if (!file.errors.empty()) {
                EXPECT_NE(file.errors.front().error.message.find("YANET"), std::string::npos)
                    << name << ": " << file.errors.front().text();
            }
        } else if (name.find("-faulty") != name.npos) {
            EXPECT_FALSE(file.errors.empty()) << name;
        } else {
            for (const FileError& error : file.errors)
                ADD_FAILURE() << name << ": " << error.text();
            EXPECT_FALSE(file.lines.empty()) << name;
            for (const FileLine& line : file.lines)
                if (const auto* add = std::get_if<AddCommand>(&line.invocation.command)) {
                    std::string text = print_rule(add->rule);
                    auto again = parse_rule(text, refusing_resolver());
                    ASSERT_TRUE(again) << text;
                    EXPECT_EQ(print_rule(*again), text);
                }
        }
    }
    EXPECT_GE(files, 70u);
}

TEST(Rulesets, FaultyFilesSayWhy) {
    auto folder = shared_directory() / "rulesets";
    if (!std::filesystem::exists(folder))
        GTEST_SKIP() << folder << " is absent";
    RuleFile file =
        parse_file(read_file(folder / "passivereader-faulty2.rules"), system_resolver());
    std::vector<int> statuses;
    for (const FileError& error : file.errors)
        statuses.push_back(static_cast<int>(error.error.status));
    EXPECT_EQ(statuses, (std::vector<int>{64, 64, 65, 65}));
}

}  // namespace
}  // namespace sluice::language
