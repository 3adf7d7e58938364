// Every keyword of the language, and what becomes of it: it is carried out, or it is refused with a
// reason. Carried out means that the data plane gets something else than without the word; so a
// keyword that is read and forgotten fails here, and so does one that nobody has put into a list.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/language/command_reader.h"
#include "controlplane/language/rule_reader.h"
#include "controlplane/language/words.h"
#include "controlplane/ruleset/sysctl.h"
#include "controlplane/service/script.h"
#include "controlplane/service/script_builder.h"
#include "controlplane/service/table_mirror.h"
#include "dataplane/contract/snapshot_view.h"

namespace sluice::service {
namespace {

using Texts = std::vector<std::string>;

constexpr char kShaping[] = "traffic shaping comes with a later version";
constexpr char kTranslation[] = "translation of addresses comes with a later version";
constexpr char kNetgraph[] = "there is no netgraph(4) on Linux";
constexpr char kJails[] = "there are no jails on Linux";
constexpr char kAltq[] = "ALTQ is part of the BSD kernels";

// What a word stands with, and why it is refused, if it is.
struct Use {
    std::string arguments = {};
    std::string reason = {};
};

RuleTotals no_counters(std::uint32_t) {
    return {};
}

Result<ruleset::Ruleset> prepared() {
    ruleset::Ruleset rules(false);
    for (const auto& [name, type] :
         std::map<std::string, contract::TableType>{{"T", contract::TableType::addr},
                                                    {"other", contract::TableType::addr},
                                                    {"numbers", contract::TableType::number},
                                                    {"macs", contract::TableType::mac},
                                                    {"ports", contract::TableType::iface},
                                                    {"flows", contract::TableType::flow}})
        if (const auto made = rules.tables().create(name, type); !made)
            return made.error();
    ruleset::PatternCatalogue& patterns = rules.patterns();
    for (const char* name : {"PATTERNS", "OTHERS"})
        if (const auto made = patterns.create(name, {}); !made)
            return made.error();
    if (const auto made = patterns.create("NAMES", {.type = contract::PatternType::names}); !made)
        return made.error();
    patterns.add("PATTERNS", "\"cmd.exe\"", 7, false);
    patterns.add("PATTERNS", "\"old.exe\"", 0, false);
    patterns.add("OTHERS", "\"root.exe\"", 0, false);
    return rules;
}

template <typename T>
void append(std::string& bytes, std::span<const T> elements) {
    const auto raw = std::as_bytes(elements);
    bytes.append(reinterpret_cast<const char*>(raw.data()), raw.size());
    bytes += '|';
}

// What the data plane gets to know of the ruleset, without the texts, which are for listings.
std::string seen_by_dataplane(const ruleset::Ruleset& rules) {
    const auto image = compiler::compile(rules, 1);
    EXPECT_TRUE(image) << image.error().message;
    const std::unique_ptr<std::byte, decltype(&std::free)> aligned(
        static_cast<std::byte*>(std::aligned_alloc(contract::kSectionAlignment, image->size())),
        &std::free);
    std::memcpy(aligned.get(), image->data(), image->size());
    const auto view = contract::SnapshotView::validate({aligned.get(), image->size()});
    EXPECT_TRUE(view) << view.error().message;
    std::vector<contract::RuleRecord> records(view->all_rules().begin(), view->all_rules().end());
    for (contract::RuleRecord& record : records)
        record.text_offset = record.text_length = 0;
    std::string bytes;
    append(bytes, std::span<const contract::Sysctls>(&view->sysctls(), 1));
    append(bytes, std::span<const contract::RuleRecord>(records));
    append(bytes, view->instructions());
    append(bytes, view->ports());
    append(bytes, view->ranges());
    append(bytes, view->v4_networks());
    append(bytes, view->v6_networks());
    append(bytes, view->words());
    append(bytes, view->mac_tests());
    append(bytes, view->interface_tests());
    append(bytes, view->pattern_objects());
    for (const contract::PatternObject& object : view->pattern_objects()) {
        append(bytes, view->patterns(object));
        append(bytes, view->database(object));
        for (const contract::PatternRecord& pattern : view->patterns(object))
            bytes += std::string(view->pattern_text(pattern)) + "|";
    }
    return bytes + std::to_string(view->header().disabled_sets);
}

struct Meaning {
    std::string dataplane;  // what it is told
    std::string listing;    // and what is remembered for listings
    std::vector<OperationResult> results;
};

// From the line to what it does to a ruleset that has some tables, as `ipfw` and the daemon do it.
Result<Meaning> meaning_of(const std::string& line) {
    const auto words = language::split_line(line);
    if (!words)
        return Error{words.error().status, words.error().message};
    const auto invocation = language::parse_command(*words, language::refusing_resolver());
    if (!invocation)
        return Error{invocation.error().status, invocation.error().message};
    auto operations = operations_for(invocation->command, invocation->flags, 0);
    if (!operations)
        return operations.error();
    auto rules = prepared();
    EXPECT_TRUE(rules);
    const auto outcome =
        run_script({.whole = false, .operations = std::move(*operations)}, *rules, no_counters);
    if (!outcome)
        return outcome.error().error;
    Meaning meaning{.dataplane = seen_by_dataplane(outcome->ruleset),
                    .listing = {},
                    .results = outcome->results};
    for (const auto& rule : outcome->ruleset.rules())
        meaning.listing += rule->text + "\n";
    const auto batch = batch_bytes(outcome->tables.changes(), outcome->tables.values(),
                                   outcome->tables.descriptors());
    append(meaning.dataplane, std::span<const std::byte>(batch));
    return meaning;
}

void expect_refused(const std::string& line, const std::string& reason) {
    const auto meaning = meaning_of(line);
    ASSERT_FALSE(meaning) << line;
    EXPECT_EQ(meaning.error().status, ExitStatus::unavailable) << line;
    EXPECT_TRUE(meaning.error().message.ends_with(": " + reason))
        << line << ": " << meaning.error().message;
    const bool later = reason == kShaping || reason == kTranslation;
    EXPECT_TRUE(meaning.error().message.starts_with(later ? "not supported yet: "
                                                          : "cannot be carried out: "))
        << meaning.error().message;
}

// Each of the lines does something that none of the others and `base` does.
void expect_all_different(const std::string& base, const Texts& lines) {
    std::map<std::string, std::string> seen;
    const auto without = meaning_of(base);
    ASSERT_TRUE(without) << base << ": " << without.error().message;
    seen[without->dataplane] = base;
    for (const std::string& line : lines) {
        const auto meaning = meaning_of(line);
        ASSERT_TRUE(meaning) << line << ": " << meaning.error().message;
        const auto [same, is_new] = seen.try_emplace(meaning->dataplane, line);
        EXPECT_TRUE(is_new) << "the data plane cannot tell \"" << line << "\" from \""
                            << same->second << "\"";
    }
}

// Walks over a table of keywords. `line(word, arguments)` is a command with the word; words of the
// same value mean the same, all others something of their own.
template <typename Value, typename Line>
void walk(std::span<const language::Keyword<Value>> table, const std::map<std::string, Use>& uses,
          const std::string& base, Line line) {
    Texts carried_out;
    std::set<std::string> walked;
    for (const auto& keyword : table) {
        const std::string word(keyword.name);
        const std::string canonical(language::keyword_name(table, keyword.value));
        const auto use = uses.find(canonical);
        ASSERT_NE(use, uses.end()) << "nobody has said what becomes of \"" << word << "\"";
        walked.insert(canonical);
        const std::string text = line(word, use->second.arguments);
        if (!use->second.reason.empty()) {
            expect_refused(text, use->second.reason);
        } else if (word == canonical) {
            carried_out.push_back(text);
        } else {
            const auto alias = meaning_of(text);
            const auto main = meaning_of(line(canonical, use->second.arguments));
            ASSERT_TRUE(alias && main) << text;
            EXPECT_EQ(alias->listing, main->listing);
            EXPECT_EQ(alias->dataplane, main->dataplane) << text;
        }
    }
    for (const auto& [word, use] : uses)
        EXPECT_TRUE(walked.contains(word)) << "there is no such word: " << word;
    expect_all_different(base, carried_out);
}

template <typename Value, typename Line>
void walk(std::span<const language::Keyword<Value>> table, const std::string& base, Line line) {
    std::map<std::string, Use> uses;
    for (const auto& keyword : table)
        uses[std::string(language::keyword_name(table, keyword.value))] = {};
    walk(table, uses, base,
         [&](const std::string& word, const std::string&) { return line(word); });
}

constexpr char kPlain[] = "add 100 count ip from any to any";

TEST(Keywords, Actions) {
    walk(language::action_keywords(),
         {{"allow", {}},
          {"deny", {}},
          {"reject", {}},
          {"unreach", {"port"}},
          {"unreach6", {"admin-prohib"}},
          {"reset", {}},
          {"reset6", {}},
          {"abort", {}},
          {"abort6", {}},
          {"count", {}},
          {"check-state", {":web"}},
          {"skipto", {"2000"}},
          {"call", {"2000"}},
          {"return", {}},
          {"divert", {"8668"}},
          {"tee", {"8668"}},
          {"fwd", {"192.0.2.1,3128"}},
          {"pipe", {"1", kShaping}},
          {"queue", {"1", kShaping}},
          {"netgraph", {"1", kNetgraph}},
          {"ngtee", {"1", kNetgraph}},
          {"nat", {"1", kTranslation}},
          {"nat64lsn", {"N", kTranslation}},
          {"nat64stl", {"N", kTranslation}},
          {"nat64clat", {"N", kTranslation}},
          {"nptv6", {"N", kTranslation}},
          {"eaction", {"ntpv6 N", "modules of the FreeBSD kernel cannot be loaded"}},
          {"setfib", {"3"}},
          {"setdscp", {"ef"}},
          {"tcp-setmss", {"1300"}},
          {"setmark", {"0x10"}},
          {"reass", {}}},
         "add 100 count udp from any to any",
         [](const std::string& word, const std::string& arguments) {
             const std::string body = word == "check-state" ? "" : " ip from any to any";
             return "add 100 " + word + " " + arguments + body;
         });
    for (const auto* code : {"unreach", "unreach6"}) {
        const bool six = std::string(code) == "unreach6";
        walk(six ? language::unreach6_codes() : language::unreach_codes(), kPlain,
             [&](const std::string& word) {
                 return std::string("add 100 ") + code + " " + word + " ip from any to any";
             });
    }
    walk(language::dscp_names(), kPlain,
         [](const std::string& word) { return "add 100 setdscp " + word + " ip from any to any"; });
    expect_all_different("add 100 unreach needfrag ip from any to any",
                         {"add 100 unreach needfrag 1400 ip from any to any"});
}

TEST(Keywords, TableargWhereverANumberStands) {
    Texts lines;
    for (const char* action : {"skipto", "call", "divert", "tee", "fwd", "setfib", "setdscp",
                               "setmark", "count tag", "count untag"})
        lines.push_back(std::string("add 100 ") + action + " tablearg ip from table(T) to any");
    for (const char* option : {"tagged", "mark", "limit src-addr"})
        lines.push_back(std::string("add 100 count ip from table(T) to any ") + option +
                        " tablearg");
    expect_all_different("add 100 count ip from table(T) to any", lines);
    for (const auto& [action, reason] : std::map<std::string, std::string>{{"pipe", kShaping},
                                                                           {"queue", kShaping},
                                                                           {"nat", kTranslation},
                                                                           {"netgraph", kNetgraph},
                                                                           {"ngtee", kNetgraph}})
        expect_refused("add 100 " + action + " tablearg ip from table(T) to any", reason);
}

TEST(Keywords, Modifiers) {
    walk(language::modifier_keywords(),
         {{"log", {}}, {"altq", {"Q", kAltq}}, {"tag", {"7"}}, {"untag", {"7"}}}, kPlain,
         [](const std::string& word, const std::string& arguments) {
             return "add 100 count " + word + " " + arguments + " ip from any to any";
         });
    walk(
        language::log_destination_keywords(),
        {{"syslog", {}},
         {"bpf",
          {"",
           "there is no interface ipfw0 for bpf(4) on Linux; log lines go to a file or to syslog"}},
         {"rtsock",
          {"", "there are no routing sockets on Linux; log lines go to a file or to syslog"}}},
        "add 100 count log ip from any to any", [](const std::string& word, const std::string&) {
            return "add 100 count log logdst " + word + " ip from any to any";
        });
    expect_all_different(kPlain, {"add 100 set 5 count ip from any to any",
                                  "add 100 prob 0.5 count ip from any to any",
                                  "add 100 count log ip from any to any",
                                  "add 100 count log logamount 7 ip from any to any"});
    // Only listings tell a comment and a label.
    for (const char* line :
         {"add 100 count ip from any to any // seldom", "add 100 :web count ip from any to any"})
        EXPECT_NE(meaning_of(line)->listing, meaning_of(kPlain)->listing);
}

TEST(Keywords, Options) {
    walk(language::option_keywords(),
         {{"in", {}},
          {"out", {}},
          {"via", {"em0"}},
          {"recv", {"em0"}},
          {"xmit", {"em0"}},
          {"established", {}},
          {"setup", {}},
          {"tcpflags", {"fin"}},
          {"tcpoptions", {"mss"}},
          {"tcpseq", {"7"}},
          {"tcpack", {"7"}},
          {"tcpwin", {"7"}},
          {"tcpmss", {"7"}},
          {"tcpdatalen", {"7"}},
          {"icmptypes", {"7"}},
          {"icmp6types", {"7"}},
          {"frag", {}},
          {"ipoptions", {"ssrr"}},
          {"iptos", {"lowdelay"}},
          {"dscp", {"7"}},
          {"ipprecedence", {"7"}},
          {"ipttl", {"7"}},
          {"ipid", {"7"}},
          {"iplen", {"7"}},
          {"ipver", {"7"}},
          {"keep-state", {}},
          {"record-state", {}},
          {"limit", {"src-addr 7"}},
          {"set-limit", {"src-addr 7"}},
          {"defer-action", {"keep-state"}},
          {"defer-immediate-action", {"record-state"}},
          {"expires", {"2099-12-31T23:59Z"}},
          {"layer2", {}},
          {"MAC", {"any 00:11:22:33:44:55"}},
          {"mac-type", {"arp"}},
          {"src-mac", {"table(macs)"}},
          {"dst-mac", {"table(macs)"}},
          {"uid", {"0"}},
          {"gid", {"1"}},
          {"jail", {"1", kJails}},
          {"proto", {"gre"}},
          {"ip4", {}},
          {"ip6", {}},
          {"src-ip", {"192.0.2.1"}},
          {"dst-ip", {"192.0.2.1"}},
          {"src-ip6", {"2001:db8::1"}},
          {"dst-ip6", {"2001:db8::1"}},
          {"src-port", {"7"}},
          {"dst-port", {"7"}},
          {"lookup", {"dst-port numbers"}},
          {"flow", {"table(flows)"}},
          {"flow-id", {"7"}},
          {"ext6hdr", {"frag"}},
          {"fib", {"7"}},
          {"ipsec",
           {"",
            "what the kernel takes out of IPsec does not come through the data plane; match the "
            "protocols esp and ah"}},
          {"sockarg", {"", "sockets of Linux have no number for rules"}},
          {"diverted", {}},
          {"diverted-loopback", {}},
          {"diverted-output", {}},
          {"verrevpath", {}},
          {"versrcreach", {}},
          {"antispoof", {}},
          {"tagged", {"7"}},
          {"mark", {"7"}},
          {"payload", {"PATTERNS"}},
          {"http-host", {"NAMES"}},
          {"http-uri", {"PATTERNS"}},
          {"tls-sni", {"NAMES"}},
          {"dns-qname", {"NAMES"}}},
         kPlain, [](const std::string& word, const std::string& arguments) {
             return kPlain + (" " + word + " " + arguments);
         });
}

TEST(Keywords, WhatOptionsLookForInPayload) {
    Texts lines;
    for (const char* test :
         {"payload PATTERNS", "payload PATTERNS,7", "payload PATTERNS,0", "payload OTHERS",
          "payload \"cmd.exe\"", "payload \"a b\"", "not payload PATTERNS",
          "{ payload PATTERNS or payload OTHERS }", "http-uri PATTERNS", "http-uri \"cmd.exe\"",
          "http-host PATTERNS", "http-host NAMES", "http-host \"example.com\"",
          "tls-sni \"example.com\"", "dns-qname \"=example.com\""})
        lines.push_back(kPlain + std::string(" ") + test);
    expect_all_different(kPlain, lines);
}

TEST(Keywords, WordsInsideOptions) {
    using language::FlagField;
    struct Words {
        std::string option;
        FlagField field;
    };
    for (const Words& words :
         {Words{"tcpflags", FlagField::tcp_flags}, Words{"tcpoptions", FlagField::tcp_options},
          Words{"ipoptions", FlagField::ip_options}, Words{"iptos", FlagField::ip_tos},
          Words{"frag", FlagField::fragment}})
        for (const char* negation : {"", "!"})
            walk(language::flag_keywords(words.field), kPlain, [&](const std::string& word) {
                return kPlain + (" " + words.option + " " + negation + word);
            });
    walk(language::flag_keywords(FlagField::ext6hdr), kPlain,
         [](const std::string& word) { return kPlain + (" ext6hdr " + word); });
    walk(language::dscp_names(), kPlain,
         [](const std::string& word) { return kPlain + (" dscp " + word); });
    walk(language::ethernet_types(), kPlain,
         [](const std::string& word) { return kPlain + (" mac-type " + word); });
    walk(language::kLimitKeyTable, kPlain,
         [](const std::string& word) { return kPlain + (" limit " + word + " 4"); });
    Texts lookups;
    for (const std::string_view field : language::lookup_fields()) {
        const std::string name(field);
        const std::string table = name.find("-ip") != name.npos    ? "T"
                                  : name.find("-mac") != name.npos ? "macs"
                                                                   : "numbers";
        const std::string line = kPlain + (" lookup " + name + " " + table);
        if (name == "jail")
            expect_refused(line, kJails);
        else
            lookups.push_back(line);
    }
    lookups.push_back(kPlain + std::string(" lookup src-ip:255.255.255.0 T"));
    expect_all_different(kPlain, lookups);
}

TEST(Keywords, ProtocolsAddressesPortsAndInterfaces) {
    Texts lines;
    for (const char* body : {"ip4 from any to any",
                             "ip6 from any to any",
                             "gre from any to any",
                             "{ tcp or udp } from any to any",
                             "ip from me to any",
                             "ip from any to me",
                             "ip from me6 to any",
                             "ip from 192.0.2.1 to any",
                             "ip from 192.0.2.0/24 to any",
                             "ip from 192.0.2.0:255.255.0.255 to any",
                             "ip from 192.0.2.1,198.51.100.0/24 to any",
                             "ip from 192.0.2.0/24{1,5-9} to any",
                             "ip from not 192.0.2.1 to any",
                             "ip from { 192.0.2.1 or 192.0.2.7 } to any",
                             "ip from table(T) to any",
                             "ip from table(T,7) to any",
                             "ip from table(T,skipto=7) to any",
                             "ip from any to table(T)",
                             "ip from 2001:db8::1 to any",
                             "ip from 2001:db8::/32 to any",
                             "ip from 2001:db8::1/ffff:ffff::ffff:ffff to any",
                             "ip from 2001:db8::1,2001:db8:1::/48 to any",
                             "tcp from any 80 to any",
                             "tcp from any to any 80",
                             "tcp from any to any 80,443",
                             "tcp from any to any 80-90",
                             "tcp from any to any 80:65534",
                             "tcp from any to any not 80",
                             "ip from any to any via em*",
                             "ip from any to any via 192.0.2.1",
                             "ip from any to any via table(ports)",
                             "ip from any to any via table(ports,7)",
                             "ip from any to any not via em0",
                             "ip from any to any { in or frag }"}) {
        lines.push_back(std::string("add 100 count ") + body);
    }
    expect_all_different(kPlain, lines);
    // No tests at all, as in ipfw.
    for (const char* line :
         {"add 100 count all from any to any", "add 100 count ip from any to any via any"})
        EXPECT_EQ(meaning_of(line)->dataplane, meaning_of(kPlain)->dataplane) << line;
}

TEST(Keywords, Commands) {
    const std::string kLater = "later";
    const std::map<std::string, Use> uses = {
        {"add", {"100 count ip from any to any"}},
        {"delete", {"65000"}},
        {"flush", {}},
        {"list", {}},
        {"set", {"disable 5"}},
        {"show", {}},
        {"print", {}},
        {"zero", {}},
        {"resetlog", {}},
        {"enable", {"verbose"}},
        {"disable", {"firewall"}},
        {"table", {"T add 192.0.2.1"}},
        {"pattern", {"PATTERNS add root.exe"}},
        {"sysctl", {"net.inet.ip.fw.verbose_limit=7"}},
        {"help", {}},
        {"pipe", {"1 config bw 1Mbit/s", kLater}},
        {"queue", {"1 config pipe 1", kLater}},
        {"sched", {"1 config type rr", kLater}},
        {"nat", {"1 config if em0", kLater}},
        {"nat64lsn", {"N create", kLater}},
        {"nat64stl", {"N create", kLater}},
        {"nat64clat", {"N create", kLater}},
        {"nptv6", {"N create", kLater}},
        {"internal",
         {"iflist",
          "it shows structures of the FreeBSD kernel; `table all info` shows tables, `sysctl -a` "
          "numbers, `show --cost` what the rules were made into"}}};
    const std::set<std::string> changing = {"add",   "set",     "enable", "disable",
                                            "table", "pattern", "sysctl"};
    Texts changes;
    for (const auto& verb : language::kVerbTable) {
        const std::string word(verb.name);
        const auto use = uses.find(word);
        ASSERT_NE(use, uses.end()) << "nobody has said what becomes of \"" << word << "\"";
        const std::string line = word + " " + use->second.arguments;
        if (use->second.reason == kLater)
            EXPECT_EQ(meaning_of(line).error().message,
                      "not supported yet: command \"" + word + "\"");
        else if (!use->second.reason.empty())
            expect_refused(line, use->second.reason);
        else if (changing.contains(word))
            changes.push_back(line);
        else
            EXPECT_TRUE(meaning_of(line)) << line << ": " << meaning_of(line).error().message;
    }
    expect_all_different("list", changes);
    for (const char* line :
         {"set show", "set swap 5 6", "set move 5 to 6", "set 5 flush", "set 5 list", "set 5 zero",
          "set 5 resetlog", "sysctl -a", "list 65535"})
        EXPECT_TRUE(meaning_of(line)) << line << ": " << meaning_of(line).error().message;
    expect_all_different(kPlain, {"set 5 add 100 count ip from any to any"});
}

// What is switched, or a number that tells why it is not.
TEST(Keywords, SwitchesAndSysctls) {
    const std::map<std::string, std::string> reasons = {
        {"one_pass", "not supported yet: sysctl net.inet.ip.fw.one_pass (pipes and NAT)"},
        {"debug",
         "sysctl net.inet.ip.fw.debug is read-only: there are no debugging messages; `ipfw replay` "
         "shows what becomes of a packet"},
        {"skipto_cache",
         "sysctl net.inet.ip.fw.skipto_cache is read-only: jumps are resolved when rules change "
         "and need no cache"}};
    for (const auto& word : language::kSwitchTable) {
        const std::string name(word.name);
        const auto on = meaning_of("enable " + name), off = meaning_of("disable " + name);
        const auto reason = reasons.find(name);
        if (reason == reasons.end()) {
            ASSERT_TRUE(on && off) << name;
            EXPECT_NE(on->dataplane, off->dataplane) << name;
            continue;
        }
        for (const auto* meaning : {&on, &off}) {
            ASSERT_FALSE(*meaning) << name;
            EXPECT_EQ(meaning->error().status, ExitStatus::unavailable);
            EXPECT_EQ(meaning->error().message, reason->second);
        }
    }
    expect_refused("enable altq", kAltq);
    for (const auto& sysctl : ruleset::sysctl_names()) {
        const std::string name(sysctl.name);
        const auto one = meaning_of("sysctl " + name + "=1"),
                   two = meaning_of("sysctl " + name + "=2");
        if (sysctl.kind != ruleset::SysctlKind::writable) {
            ASSERT_FALSE(one) << name;
            EXPECT_EQ(one.error().status, ExitStatus::unavailable);
        } else if (name == "net.inet.ip.fw.tables_max") {
            EXPECT_EQ(one.error().message,
                      "sysctl net.inet.ip.fw.tables_max cannot be 1: there are 6 tables; destroy "
                      "some first");
            EXPECT_NE(meaning_of("sysctl " + name + "=7")->dataplane,
                      meaning_of("sysctl " + name + "=8")->dataplane);
        } else {
            ASSERT_TRUE(one && two) << name;
            EXPECT_NE(one->dataplane, two->dataplane) << name;
        }
    }
}

TEST(Keywords, Tables) {
    using Verb = language::TableCommand::Verb;
    const std::map<std::string, Use> uses = {{"add", {"192.0.2.1 7"}},
                                             {"delete", {"192.0.2.1"}},
                                             {"create", {}},
                                             {"destroy", {}},
                                             {"flush", {}},
                                             {"modify", {"limit 7"}},
                                             {"swap", {"T"}},
                                             {"info", {}},
                                             {"detail", {}},
                                             {"list", {}},
                                             {"show", {}},
                                             {"lookup", {"192.0.2.1"}},
                                             {"lock", {}},
                                             {"unlock", {}},
                                             {"load", {"/dev/null"}}};
    std::map<std::string, std::string> seen;
    for (const auto& verb : language::kTableVerbTable) {
        const std::string word(verb.name);
        const auto use = uses.find(word);
        ASSERT_NE(use, uses.end()) << "nobody has said what becomes of \"" << word << "\"";
        const std::string table = verb.value == Verb::create ? "fresh" : "other";
        const std::string line = "table " + table + " " + word + " " + use->second.arguments;
        const auto meaning = meaning_of(line);
        ASSERT_TRUE(meaning) << line << ": " << meaning.error().message;
        EXPECT_TRUE(meaning->results.empty() || meaning->results[0].complaints.empty()) << line;
        // Both ask the same; the answers are shown in other words.
        if (word == "detail" || word == "show" || word == "unlock")
            continue;
        const auto [same, is_new] = seen.try_emplace(meaning->dataplane, line);
        EXPECT_TRUE(is_new) << line << " and " << same->second;
    }
    const std::string create = "table fresh create";
    walk(language::kTableTypeTable,
         {{"addr", {}}, {"iface", {}}, {"number", {}}, {"flow", {}}, {"mac", {}}}, "table T list",
         [&](const std::string& word, const std::string&) { return create + " type " + word; });
    walk(language::kValueTypeTable, create,
         [&](const std::string& word) { return create + " valtype " + word; });
    Texts lines;
    for (const std::string_view field : language::kFlowFields)
        lines.push_back(create + " type flow:" + std::string(field));
    for (const char* more : {"limit 7", "locked", "valtype skipto,tag"})
        lines.push_back(create + " " + more);
    expect_all_different(create, lines);
    expect_all_different("table T add 192.0.2.1 7",
                         {"table T add 192.0.2.1 7 ttl 1h", "-q table T add 192.0.2.1 7"});
    EXPECT_TRUE(meaning_of("table T atomic add 192.0.2.1 7 192.0.2.2 8"));
    // What is there already, and is to be emptied.
    expect_all_different("table T create missing", {"table T create or-flush"});
    EXPECT_FALSE(meaning_of("table T create")->results[0].complaints.empty());
    // One algorithm for each type: its name is taken, another one is not.
    for (const char* algorithm :
         {"type addr algo addr:radix", "type addr algo addr:hash", "type iface algo iface:array",
          "type number algo number:array", "type flow algo flow:hash", "type mac algo mac:radix"})
        EXPECT_TRUE(meaning_of(create + " " + algorithm)) << algorithm;
    EXPECT_EQ(meaning_of(create + " type addr algo addr:list").error().status, ExitStatus::data);
}

TEST(Keywords, Patterns) {
    using Verb = language::PatternCommand::Verb;
    const std::map<std::string, Use> uses = {{"create", {}},
                                             {"add", {"new.exe 9"}},
                                             {"delete", {"cmd.exe"}},
                                             {"load", {"/dev/null"}},
                                             {"list", {}},
                                             {"info", {}},
                                             {"show", {}},
                                             {"swap", {"OTHERS"}},
                                             {"flush", {}},
                                             {"destroy", {}},
                                             {"lint", {}}};
    std::map<std::string, std::string> seen;
    for (const auto& verb : language::kPatternVerbTable) {
        const std::string word(verb.name);
        const auto use = uses.find(word);
        ASSERT_NE(use, uses.end()) << "nobody has said what becomes of \"" << word << "\"";
        const std::string object = verb.value == Verb::create ? "fresh" : "PATTERNS";
        const std::string line = "pattern " + object + " " + word + " " + use->second.arguments;
        const auto meaning = meaning_of(line);
        // Only a data plane knows how often patterns were found.
        if (verb.value == Verb::show) {
            ASSERT_FALSE(meaning) << line;
            EXPECT_EQ(meaning.error().status, ExitStatus::unavailable);
            continue;
        }
        ASSERT_TRUE(meaning) << line << ": " << meaning.error().message;
        EXPECT_TRUE(meaning->results.empty() || meaning->results[0].complaints.empty()) << line;
        if (verb.value == Verb::lint) {
            EXPECT_FALSE(meaning->results[0].lines.empty());
        }
        // A file without patterns is a flush; the others only read.
        if (verb.value == Verb::load || verb.value == Verb::info || verb.value == Verb::lint)
            continue;
        const auto [same, is_new] = seen.try_emplace(meaning->dataplane, line);
        EXPECT_TRUE(is_new) << line << " and " << same->second;
    }
    const std::string create = "pattern fresh create";
    expect_all_different(create, {create + " type names", create + " mode stream",
                                  create + " mode stream depth 100", create + " depth 100",
                                  create + " dir out", create + " dir in", create + " nocase"});
    EXPECT_EQ(meaning_of(create + " type bytes mode packet dir both depth 1460 missing")->dataplane,
              meaning_of(create)->dataplane);
    expect_all_different("pattern PATTERNS create missing",
                         {"pattern PATTERNS create or-flush", "pattern PATTERNS destroy"});
    EXPECT_FALSE(meaning_of("pattern PATTERNS create")->results[0].complaints.empty());
    EXPECT_EQ(meaning_of("pattern PATTERNS add cmd.exe")->results[0].status, ExitStatus::os);
    EXPECT_EQ(meaning_of("-q pattern PATTERNS add cmd.exe 8")->results[0].status, ExitStatus::ok);
    EXPECT_EQ(meaning_of("pattern PATTERNS delete no.exe")->results[0].status, ExitStatus::os);
    EXPECT_EQ(meaning_of("-q pattern PATTERNS delete no.exe")->results[0].status, ExitStatus::ok);
}

TEST(Keywords, Flags) {
    for (const char letter : std::string("abcdDefhinNqsStTv")) {
        const auto words = language::split_line(std::string("-") + letter + " list");
        const auto read = language::parse_command(*words, language::refusing_resolver());
        ASSERT_TRUE(read) << letter;
        EXPECT_FALSE(read->flags == language::Flags{}) << letter;
    }
    for (const char letter : std::string("ABCEFgGHjJkKlLmMoOPQrRuVwWxXyYzZ0")) {
        const auto words = language::split_line(std::string("-") + letter + " list");
        EXPECT_FALSE(language::parse_command(*words, language::refusing_resolver())) << letter;
    }
}

}  // namespace
}  // namespace sluice::service
