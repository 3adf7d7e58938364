#include "controlplane/language/command.h"

#include <gtest/gtest.h>

#include "controlplane/language/usage.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

// As a shell would split it.
Result<Invocation, ParseError> run(const std::string& line) {
    return parse_command_line(split(line, ' '), fake_resolver());
}

template <typename T>
T command(const std::string& line) {
    auto invocation = run(line);
    EXPECT_TRUE(invocation) << line << ": " << invocation.error().text();
    if (!invocation || !std::holds_alternative<T>(invocation->command)) {
        ADD_FAILURE() << line << " is another command";
        return {};
    }
    return std::get<T>(invocation->command);
}

int status(const std::string& line) {
    auto invocation = run(line);
    return invocation ? 0 : static_cast<int>(invocation.error().status);
}

std::string message(const std::string& line) {
    auto invocation = run(line);
    return invocation ? "" : invocation.error().text();
}

Flags flags(const std::string& line) {
    auto invocation = run(line);
    EXPECT_TRUE(invocation) << line << ": " << invocation.error().text();
    return invocation ? invocation->flags : Flags{};
}

std::vector<std::string> warned(const std::string& line) {
    auto invocation = run(line);
    EXPECT_TRUE(invocation) << line;
    return invocation ? invocation->warnings : std::vector<std::string>{};
}

TEST(Flags, AreReadAsGetoptDoes) {
    EXPECT_EQ(flags("-at list"), (Flags{.counters = true, .timestamps = true}));
    EXPECT_EQ(flags("-a -t list"), flags("-at list"));
    EXPECT_EQ(flags("-q flush"), (Flags{.force = true, .quiet = true}));
    EXPECT_EQ(flags("-b list"), (Flags{.action_and_comment_only = true, .compact = true}));
    EXPECT_EQ(flags("-cdefinNSTv list"), (Flags{.compact = true,
                                                .dynamic = true,
                                                .expired = true,
                                                .force = true,
                                                .values_as_addresses = true,
                                                .test_only = true,
                                                .resolve_names = true,
                                                .sets = true,
                                                .raw_timestamps = true,
                                                .verbose = true}));
    EXPECT_EQ(flags("-D list"), (Flags{.dynamic = true, .dynamic_only = true}));
    EXPECT_EQ(flags("-- list"), Flags{});
    EXPECT_EQ(flags("show"), Flags{.counters = true});
    EXPECT_EQ(flags("-s 3 list").sort_field, 3);
    EXPECT_EQ(flags("-s -2 list").sort_field, -2);
    EXPECT_EQ(flags("-s4 list").sort_field, 4);
    EXPECT_EQ(flags("-s list").sort_field, 1);
    EXPECT_EQ(flags("-as list").sort_field, 1);
    EXPECT_EQ(status("-z list"), 64);
    EXPECT_EQ(status("-s9 list"), 64);
    EXPECT_EQ(status("-q"), 64);
    // Flags end at the command.
    EXPECT_EQ(status("list -a"), 0);
    EXPECT_FALSE(flags("list -a").counters);
}

TEST(Command, Help) {
    command<HelpCommand>("-h");
    command<HelpCommand>("-h list");
    EXPECT_NE(usage().find("established"), std::string::npos);
    EXPECT_NE(usage().find("skipto N|tablearg"), std::string::npos);
}

TEST(Command, Add) {
    EXPECT_EQ(command<AddCommand>("add 100 allow ip from any to any").rule.number, 100);
    EXPECT_EQ(command<AddCommand>("100 add allow ip from any to any").rule.number, 100);
    EXPECT_EQ(command<AddCommand>("set 5 add allow ip from any to any").rule.set, 5);
    EXPECT_EQ(command<AddCommand>("-q add allow ip from any to any").rule.number, 0);
    EXPECT_EQ(message("add"), "column 5: missing action at the end of the command");
    EXPECT_EQ(message("add allow ip from any to any estab1ished"),
              "column 30: unknown option \"estab1ished\"; expected an option or the end of the "
              "rule; did you mean \"established\"?");
    EXPECT_EQ(run("add allow tcp any to any").error().word, 3u);
    // One argument is split, but not behind flags.
    auto one = parse_command_line(std::vector<std::string>{"add allow ip from any to any # x"},
                                  fake_resolver());
    EXPECT_TRUE(one);
    EXPECT_FALSE(parse_command_line(std::vector<std::string>{"-n", "add allow ip from any to any"},
                                    fake_resolver()));
    EXPECT_FALSE(parse_command_line(std::vector<std::string>{"add", ""}, fake_resolver()));
}

TEST(Command, ASecondSetIsRefusedEvenIfItIsZero) {
    EXPECT_EQ(status("set 5 add 310 set 3 allow ip from any to any"), 65);
    EXPECT_EQ(message("set 5 add 310 set 0 allow ip from any to any"),
              "column 15: a set was already given before the command");
    EXPECT_EQ(status("set 5 add set 0 allow ip from any to any"), 65);
    EXPECT_EQ(status("set 5 310 add set 0 allow ip from any to any"), 65);
    EXPECT_EQ(command<AddCommand>("set 5 add 310 set 5 allow ip from any to any").rule.set, 5);
    EXPECT_EQ(command<AddCommand>("set 0 add 310 set 0 allow ip from any to any").rule.set, 0);
    EXPECT_EQ(status("set 0 add 310 set 5 allow ip from any to any"), 65);
}

TEST(Command, APathAtTheEndOfACommandIsNoRuleFile) {
    for (const char* line : {"add 100 allow ip from any to any // see /etc/x",
                             "100 add allow ip from any to any // see /etc/x",
                             "-q 100 add allow ip from any to any // see /etc/x",
                             "ad 100 allow ip from any to any // see /etc/x",
                             "set 5 add 100 allow ip from any to any // see /etc/x"})
        EXPECT_EQ(command<AddCommand>(line).rule.comment, "see /etc/x") << line;
    EXPECT_EQ(command<FileCommand>("-q /etc/x").path, "/etc/x");
    EXPECT_NE(message("100 /etc/x").find("extraneous filename arguments"), std::string::npos);
}

// It would end the line where the listing is read as a rule file.
TEST(Command, AHashIsRefused) {
    EXPECT_EQ(
        message("add allow ip from any to any via em#0"),
        "column 36: \"#\" would end the line in a rule file; leave it out, or, in a pattern, keep "
        "the quotes: '\"a#b\"'");
    EXPECT_EQ(status("add allow ip from any to any // see #5"), 64);
    EXPECT_EQ(status("add deny ip from any to any # all"), 64);
}

TEST(Command, LengthIsBounded) {
    EXPECT_EQ(status("add allow ip from any to any // " + std::string(100, 'x')), 65);
    EXPECT_EQ(message("add allow ip from any to any // " + std::string(70000, 'x')),
              "column 33: the command is too long");
}

TEST(Command, Delete) {
    EXPECT_EQ(command<DeleteCommand>("delete 100 200-300 400"),
              (DeleteCommand{{{100, 100}, {200, 300}, {400, 400}}, {}, {}}));
    EXPECT_EQ(command<DeleteCommand>("delete 00100").rules.front().first, 100);
    EXPECT_EQ(command<DeleteCommand>("delete set 5"), (DeleteCommand{{}, {5}, {}}));
    EXPECT_EQ(command<DeleteCommand>("set 3 delete 100"), (DeleteCommand{{{100, 100}}, {}, 3}));
    EXPECT_EQ(command<DeleteCommand>("delete 100-65535").rules.front().last, 65534);
    EXPECT_EQ(command<DeleteCommand>("delete 65535").rules.front().last, 65535);
    EXPECT_EQ(status("set 3 delete set 4"), 65);
    EXPECT_EQ(status("delete"), 64);
    EXPECT_EQ(status("delete abc"), 64);
    EXPECT_EQ(status("delete 70000"), 65);
    EXPECT_EQ(status("delete 300-200"), 65);
    EXPECT_EQ(status("delete 0"), 65);
    EXPECT_EQ(status("delete set 32"), 65);
}

TEST(Command, ListZeroFlush) {
    EXPECT_TRUE(command<ListCommand>("list").targets.empty());
    ListCommand list = command<ListCommand>("print 100 200-300 abc 70000");
    ASSERT_EQ(list.targets.size(), 4u);
    EXPECT_EQ(list.targets[1].range, (RuleRange{200, 300}));
    EXPECT_FALSE(list.targets[2].range);
    EXPECT_EQ(list.targets[2].text, "abc");
    EXPECT_FALSE(list.targets[3].range);
    EXPECT_EQ(command<ListCommand>("set 5 show").in_set, 5);
    EXPECT_EQ(command<ZeroCommand>("zero 100 65535").rules,
              (std::vector<std::uint16_t>{100, 65535}));
    EXPECT_TRUE(command<ZeroCommand>("resetlog").log_only);
    EXPECT_EQ(status("zero abc"), 64);
    EXPECT_EQ(status("zero 70000"), 65);
    EXPECT_EQ(status("resetlog 70000"), 65);
    EXPECT_FALSE(command<FlushCommand>("-f flush").in_set);
    EXPECT_EQ(command<FlushCommand>("set 5 flush").in_set, 5);
    EXPECT_EQ(status("flush all"), 64);
}

TEST(Command, Sets) {
    command<SetShowCommand>("set show");
    EXPECT_EQ(command<SetEnableCommand>("set disable 1 2 enable 5"), (SetEnableCommand{32, 6}));
    EXPECT_EQ(command<SetEnableCommand>("set disable 31"), SetEnableCommand{});
    EXPECT_EQ(command<SetEnableCommand>("set enable 31"), (SetEnableCommand{1u << 31, 0}));
    EXPECT_EQ(command<SetMoveCommand>("set move 5 to 6"), (SetMoveCommand{false, 5, 6}));
    EXPECT_EQ(command<SetMoveCommand>("set move rule 500 to 6"), (SetMoveCommand{true, 500, 6}));
    EXPECT_EQ(command<SetSwapCommand>("set swap 18 0"), (SetSwapCommand{18, 0}));
    EXPECT_EQ(status("set disable 32"), 65);
    EXPECT_EQ(status("set disable 5 enable 5"), 65);
    EXPECT_EQ(status("set disable"), 64);
    EXPECT_EQ(status("set disable 5 foo"), 64);
    EXPECT_EQ(status("set move 5 6"), 64);
    EXPECT_EQ(status("set move rule 65535 to 1"), 65);
    EXPECT_EQ(status("set swap 1"), 64);
    EXPECT_EQ(status("set 40 list"), 65);
    EXPECT_EQ(status("set 4"), 64);
    EXPECT_EQ(status("set 4 enable verbose"), 64);
    EXPECT_EQ(status("set 4 add set 3 allow ip from any to any"), 65);
    EXPECT_EQ(message("set swop 1 2"),
              "column 5: unknown set command \"swop\"; expected show, enable, disable, move, swap "
              "or a set number; did you mean \"swap\"?");
}

TEST(Command, SwitchesAndSysctls) {
    EXPECT_EQ(command<SwitchCommand>("disable firewall"),
              (SwitchCommand{"net.inet.ip.fw.enable", false}));
    EXPECT_EQ(command<SwitchCommand>("enable verbose"),
              (SwitchCommand{"net.inet.ip.fw.verbose", true}));
    EXPECT_EQ(command<SwitchCommand>("enable verbos").sysctl, "");
    EXPECT_EQ(warned("enable verbos"),
              std::vector<std::string>{"unknown word \"verbos\" after enable: nothing was changed; "
                                       "did you mean \"verbose\"?"});
    EXPECT_EQ(command<NotSupportedCommand>("enable altq").error().message,
              "cannot be carried out: command \"altq\": ALTQ is part of the BSD kernels");
    EXPECT_EQ(command<SysctlCommand>("sysctl -w net.inet.ip.fw.verbose=1 net.inet.ip.fw.debug"),
              (SysctlCommand{
                  false, false, {{"net.inet.ip.fw.verbose", "1"}, {"net.inet.ip.fw.debug", {}}}}));
    EXPECT_TRUE(command<SysctlCommand>("sysctl -an").values_only);
    EXPECT_EQ(status("sysctl"), 64);
    EXPECT_EQ(status("sysctl -x"), 64);
    EXPECT_EQ(status("sysctl =5"), 64);
}

TEST(Command, Tables) {
    using Verb = TableCommand::Verb;
    TableCommand table = command<TableCommand>(
        "table T create type flow:src-ip,dst-port valtype skipto,mark limit 100 locked or-flush");
    EXPECT_EQ(table.verb, Verb::create);
    EXPECT_EQ(table.type, TableType::flow);
    EXPECT_EQ(table.flow_fields, (std::vector<std::string>{"src-ip", "dst-port"}));
    EXPECT_EQ(table.value_types,
              (std::vector<TableValueType>{TableValueType::skipto, TableValueType::mark}));
    EXPECT_EQ(table.limit, 100u);
    EXPECT_TRUE(table.locked && table.missing && table.or_flush);

    table = command<TableCommand>("table 1 add 10.0.0.0/8");
    EXPECT_EQ(table.records, (std::vector<TableRecord>{{"10.0.0.0/8", ""}}));
    table = command<TableCommand>("table 1 atomic add 10.0.0.0/8 5 10.1.0.0/16 6");
    EXPECT_TRUE(table.atomic);
    EXPECT_EQ(table.records, (std::vector<TableRecord>{{"10.0.0.0/8", "5"}, {"10.1.0.0/16", "6"}}));
    table = command<TableCommand>("table 1 delete 10.0.0.0/8 10.1.0.0/16");
    EXPECT_EQ(table.records.size(), 2u);
    EXPECT_EQ(command<TableCommand>("table all list").table, "all");
    EXPECT_EQ(command<TableCommand>("table a swap b").other, "b");
    EXPECT_EQ(command<TableCommand>("table a modify limit 5").limit, 5u);
    EXPECT_EQ(command<TableCommand>("table a lookup 1.2.3.4").verb, Verb::lookup);
    EXPECT_EQ(command<TableCommand>("table a load /tmp/f").file, "/tmp/f");
    EXPECT_EQ(status("table a load"), 64);
    table = command<TableCommand>("table 1 add 10.0.0.0/8 ttl 1h");
    EXPECT_EQ(table.ttl_s, 3600u);
    EXPECT_EQ(table.records, (std::vector<TableRecord>{{"10.0.0.0/8", ""}}));
    table = command<TableCommand>("table 1 add 10.0.0.0/8 5 11.0.0.0/8 6 ttl 90");
    EXPECT_EQ(table.ttl_s, 90u);
    EXPECT_EQ(table.records.size(), 2u);
    // An interface may have that name.
    table = command<TableCommand>("table i add ttl 5");
    EXPECT_EQ(table.records, (std::vector<TableRecord>{{"ttl", "5"}}));
    EXPECT_EQ(status("table 1 add 10.0.0.0/8 ttl 0"), 65);
    EXPECT_EQ(status("table 1 add 10.0.0.0/8 ttl 1w"), 65);
    EXPECT_EQ(command<TableCommand>("set 3 table a flush").set, 3);
    for (const char* verb : {"destroy", "flush", "list", "info", "detail", "lock", "unlock"})
        EXPECT_EQ(status(std::string("table T ") + verb), 0) << verb;
    EXPECT_EQ(status("table"), 64);
    EXPECT_EQ(status("table T"), 64);
    EXPECT_EQ(status("table T frob"), 64);
    EXPECT_EQ(status("table T/1 list"), 64);
    EXPECT_EQ(status("table all add 1.2.3.4"), 64);
    EXPECT_EQ(status("table T add"), 64);
    EXPECT_EQ(status("table T add 1.2.3.4 5 6.7.8.9"), 64);
    EXPECT_EQ(status("table T atomic flush"), 64);
    EXPECT_EQ(status("table T create type adr"), 64);
    EXPECT_EQ(status("table T create type addr:src-ip"), 64);
    EXPECT_EQ(status("table T create valtype foo"), 64);
    EXPECT_EQ(status("table T create limit x"), 65);
    EXPECT_EQ(status("table T swap all"), 64);
    EXPECT_EQ(status("table T list 5"), 64);
    EXPECT_EQ(status("table T add 1.2.3.4 :LABEL"), 65);
}

TEST(Command, WhatTheApplianceLacksIsNoSyntaxError) {
    for (const char* line :
         {"pipe 1 config bw 1Mbit/s", "queue 1 config pipe 1", "sched 1 config type rr",
          "nat 45 config if re0", "nat64lsn NAT64 create prefix6 2001:db8::/96", "nat64stl X list",
          "nat64clat CLAT create", "nptv6 N create", "pipe list"}) {
        auto refused = command<NotSupportedCommand>(line);
        EXPECT_EQ(refused.error().status, ExitStatus::unavailable);
        EXPECT_TRUE(refused.error().message.starts_with("not supported yet: ")) << line;
    }
    EXPECT_TRUE(command<NotSupportedCommand>("internal iflist")
                    .error()
                    .message.starts_with("cannot be carried out: "));
}

TEST(Command, AbbreviationsWarn) {
    command<ListCommand>("l");
    EXPECT_EQ(warned("l"),
              std::vector<std::string>{"DEPRECATED: 'l' matched 'list' as a sub-string"});
    command<ListCommand>("sh");
    command<DeleteCommand>("del 100");
    command<AddCommand>("a allow ip from any to any");
    EXPECT_TRUE(warned("list").empty());
}

TEST(Command, ImpossibleRulesWarn) {
    EXPECT_EQ(warned("add allow icmp from any to any 80").size(), 1u);
    EXPECT_TRUE(warned("add allow tcp from any to any 80").empty());
}

TEST(Command, BadCommands) {
    EXPECT_EQ(message("iadd 65022 deny ip from any to any"),
              "column 1: bad command \"iadd\"; expected a command; did you mean \"add\"?");
    EXPECT_EQ(status("{fwcmd} deny ip from any to any"), 64);
    EXPECT_NE(message("ipfw add allow ip from any to any").find("without the word ipfw"),
              std::string::npos);
    EXPECT_NE(message(":BEGIN").find("alone on its line"), std::string::npos);
    EXPECT_NE(message("relative.rules").find("absolute pathname"), std::string::npos);
    EXPECT_EQ(parse_command_line({}, fake_resolver()).error().status, ExitStatus::usage);
    EXPECT_EQ(status("add allow ip from 1 ,2 to any"), 64);
}

TEST(FileCommand, FlagsAndPreprocessor) {
    EXPECT_EQ(command<FileCommand>("/etc/ipfw.rules").path, "/etc/ipfw.rules");
    EXPECT_TRUE(flags("-q -N /etc/ipfw.rules").quiet);
    EXPECT_TRUE(flags("-n /etc/ipfw.rules").test_only);
    FileCommand file = command<FileCommand>("-q -p cpp -DFOO -D BAR=1 -U X /etc/ipfw.rules");
    EXPECT_EQ(file.preprocessor, "cpp");
    EXPECT_EQ(file.preprocessor_arguments,
              (std::vector<std::string>{"-DFOO", "-D", "BAR=1", "-U", "X"}));
    EXPECT_EQ(command<FileCommand>("-qpm4 /x").preprocessor, "m4");
    EXPECT_EQ(status("-DFOO /etc/ipfw.rules"), 64);
    EXPECT_EQ(status("-a /etc/ipfw.rules"), 64);
    EXPECT_EQ(status("-p /etc/ipfw.rules"), 64);
    EXPECT_EQ(status("foo /etc/ipfw.rules"), 64);
    EXPECT_NE(message("foo /etc/ipfw.rules").find("extraneous filename arguments"),
              std::string::npos);
    std::string many = "-p cpp";
    for (int i = 0; i < 33; ++i)
        many += " -DX";
    EXPECT_EQ(status(many + " /etc/ipfw.rules"), 64);
    // A path at the end of a rule is a word like any other.
    command<AddCommand>("add allow ip from any to any // see /etc/motd");
}

// What is decided by reading the command; the rest of the table is about the appliance.
TEST(ExitCodes, Vectors) {
    // Where ours differs on purpose, or the column is about what happens later.
    const std::map<std::string, int> deliberate = {
        {"add 65535 deny ip from any to any", 0},       // read here, refused by the appliance
        {"add allow ip from not any to any", 65},       // the tool drops the not silently
        {"add allow ip from any to any { in", 64},      // the tool accepts it
        {"delete 12345 (stdin is a tty)", -1},          // the appliance's answer
        {"delete 12345 (stdin not a tty, or -f)", -1},  // the appliance's answer
        {"delete -q: 12345", -1},                       // the appliance's answer
        {"list 12345", 0},                              // the appliance's answer
        {"list abc", 0},                                // the rest is still listed
        {"zero 12345", 0},                              // the appliance's answer
        {"/no/such/file", 0},                           // opened by the command line tool
        {"table T add 1.2.3.4 (twice)", -1},            // the appliance's answer
        {"(no arguments)", -1},                         // see BadCommands
    };
    std::size_t checked = 0;
    for (const std::string& line : read_lines(data_directory() / "exit_codes.tsv")) {
        std::vector<std::string> fields = split(line, '\t');
        if (line.starts_with("#") || fields.size() < 2)
            continue;
        int expected = std::stoi(fields[1]);
        if (auto found = deliberate.find(fields[0]); found != deliberate.end())
            expected = found->second;
        if (expected < 0)
            continue;
        EXPECT_EQ(status(fields[0]), expected) << fields[0] << "\n" << message(fields[0]);
        ++checked;
    }
    EXPECT_GE(checked, 35u);
}

}  // namespace
}  // namespace sluice::language
