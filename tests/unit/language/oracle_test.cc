// The texts of the ipfw tool of 2014: what it answered to single commands, and what it listed for
// whole rulesets. They are not part of the repository (see shared_directory) and the tests are
// skipped where they are absent.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "controlplane/language/rule_file.h"
#include "tests/unit/language/support.h"

namespace sluice::language {
namespace {

// ---- Normalisation: all differences of style between 2014 and today, in one place
// -----------------

// Of both texts. Ports stand bare today, and states have names. What was `dst-port` in the body
// cannot be told from the option in the old text, so both lose the word.
std::string without_style(std::string text) {
    text = replaced(text, " dst-port ", " ");
    text = replaced(text, " :default", "");
    return text;
}

// Of the old text only.
std::string modernised(std::string text) {
    // Names of extension headers were sentences.
    text = replaced(text, "extension header: ", "ext6hdr ");
    text = replaced(text, "ext6hdr fragmentation", "ext6hdr frag");
    text = replaced(text, "ext6hdr hop options", "ext6hdr hopopt");
    text = replaced(text, "ext6hdr routing options", "ext6hdr route");
    text = replaced(text, "ext6hdr destination options", "ext6hdr dstopt");
    text = replaced(text, "ext6hdr authentication header", "ext6hdr ah");
    text = replaced(text, "ext6hdr encapsulated security payload", "ext6hdr esp");
    // It said `ip6` itself before ICMPv6 types.
    text = replaced(text, "ip6 icmp6types", "icmp6types");
    // flow-id had a blank too many behind it.
    text = replaced(text, "  // ", " // ");
    while (text.ends_with(' '))
        text.pop_back();
    return without_style(text);
}

// Its bugs: an option src-ip or dst-ip right after an address lost its keyword and even moved to
// the other side of ` to any`; before flow-id, ` to any` or the whole body was missing. Without the
// words in question and their order the texts must be the same.
std::string without_address_keywords(const std::string& text) {
    std::vector<std::string> words;
    for (const std::string& word : split(text, ' '))
        if (word != "src-ip" && word != "dst-ip" && word != "src-ip6" && word != "dst-ip6" &&
            word != "to" && word != "any" && word != "from" && word != "ip6")
            words.push_back(word);
    std::sort(words.begin(), words.end());
    std::string joined;
    for (const std::string& word : words)
        joined += word + " ";
    return joined;
}

bool same_text(const std::string& ours, const std::string& old) {
    if (without_style(ours) == modernised(old))
        return true;
    bool has_keyword = ours.find("src-ip") != ours.npos || ours.find("dst-ip") != ours.npos ||
                       ours.find("flow-id") != ours.npos;
    return has_keyword && without_address_keywords(without_style(ours)) ==
                              without_address_keywords(modernised(old));
}

// ---- oracle2014.tsv
// --------------------------------------------------------------------------------

struct Difference {
    const char* pattern;  // of the command
    int status;           // ours
    const char* text;     // ours; empty: an error
    const char* reason;
};

// Where we differ on purpose. A row is for the commands that the pattern matches wholly.
const Difference kDifferences[] = {
    {".*\\bdivert natd\\b.*", 0, nullptr, "natd (8668) is one of our aliases; Linux lacks it"},
    {".*\\bicmp6\\b.*", 0, nullptr, "icmp6 is one of our aliases of ipv6-icmp"},
    {".*nat64(clat|lsn) .*", 0, nullptr, "actions that came after 2014"},
    {"add tcp-setmss .*", 0, nullptr, "an action that came after 2014"},
    {"add abort6? .*", 0, nullptr, "actions that came after 2014"},
    {"add .*record-state", 0, nullptr, "an option that came after 2014"},
    {"add .*keep-state :OUT", 0, nullptr, "names of states came after 2014"},
    {"add unreach needfrag 1420 .*", 0, nullptr, "the MTU came after 2014"},
    {"add setfib 1 .*", 0, nullptr, "its kernel had a single routing table"},
    {".*check-state.*//.*", 0, nullptr, "it lost the comment and the name of check-state"},
    {"add .*icmptypes 3-5", 0, "00000 allow icmp from any to any icmptypes 3,4,5",
     "the manual of 2003 allows ranges"},
    {"add .* via (PREPROCESS_ME_USING_m4|FORGOT_NUMBER_NOERR)", 0, nullptr,
     "interface names are kept whole instead of being cut to 15 characters"},
    {"add (65555|88888) .*", 65, "", "rule numbers do not wrap"},
    {"add skipto 70000 .*", 65, "", "rule numbers do not wrap"},
    {"add .* 65536", 65, "", "ports do not wrap"},
    {"add .* from not any .*", 65, "", "the not was dropped silently"},
    {"add deny ip from 10.0.0.1:255.0.0.255 to any", 0,
     "00000 deny ip from 10.0.0.1:255.0.0.255 to any", "a bug of that build: the mask was lost"},
    {"add allow ip from 1.2.3.4:1.2.3 to any", 0, "00000 allow ip from 1.2.0.0:1.2.0.3 to any",
     "a bug of that build: the mask was lost"},
    {"add allow dst-port 22 in", 0, "00000 allow dst-port 22 in",
     "a rule without from and to is printed without, as today"},
    {"add allow MAC .*", 0, "00000 allow MAC any 00:11:22:33:44:55",
     "a rule without from and to is printed without, as today"},
    {"add allow \\{ dst-ip .*", 0, "00000 allow { dst-ip 1.2.3.4 or dst-ip 2.3.4.5 }",
     "a rule without from and to is printed without, as today"},
    {"add allow log logamount 0 .*", 0, "00000 allow log logamount 0 ip from any to any",
     "logamount 0 is unlimited, a bare log has the limit of verbose_limit: both are kept"},
};

const Difference* difference_of(const std::string& command) {
    for (const Difference& difference : kDifferences)
        if (std::regex_match(command, std::regex(difference.pattern)))
            return &difference;
    return nullptr;
}

TEST(Oracle2014, EveryLine) {
    auto path = shared_directory() / "vectors/oracle2014.tsv";
    if (!std::filesystem::exists(path))
        GTEST_SKIP() << path << " is absent";
    std::size_t lines = 0;
    std::set<const Difference*> used;
    for (const std::string& line : read_lines(path)) {
        if (line.starts_with("#"))
            continue;
        std::vector<std::string> fields = split(line, '\t');
        ASSERT_GE(fields.size(), 4u) << line;
        ++lines;
        int old_status = std::stoi(fields[1]);
        const std::string& command = fields[2];
        std::string old_text = fields[3];

        auto invocation = parse_command_line(std::vector{command}, system_resolver());
        int status = invocation ? 0 : static_cast<int>(invocation.error().status);
        std::string text;
        if (invocation) {
            const auto* add = std::get_if<AddCommand>(&invocation->command);
            ASSERT_NE(add, nullptr) << command;
            text = print_rule_number(add->rule.number) + " " +
                   print_rule(add->rule, {.resolver = &system_resolver()});
        }
        bool same = status == old_status && (status != 0 || same_text(text, old_text));
        if (same)
            continue;
        const Difference* difference = difference_of(command);
        if (difference == nullptr) {
            ADD_FAILURE() << command << "\n  2014: " << old_status << " " << old_text
                          << "\n  ours: " << status << " "
                          << (invocation ? text : invocation.error().text());
            continue;
        }
        used.insert(difference);
        EXPECT_EQ(status, difference->status) << command;
        if (difference->text != nullptr && invocation) {
            EXPECT_EQ(text, difference->text) << difference->reason;
        }
    }
    EXPECT_GE(lines, 480u);
    for (const Difference& difference : kDifferences)
        EXPECT_TRUE(used.contains(&difference)) << "not needed: " << difference.pattern;
}

// ---- conformance: rules.ipfw → list.txt
// ------------------------------------------------------------

struct Numbered {
    unsigned number;
    std::string text;
    bool hidden;  // in a disabled set
};

void expect_same_list(const std::filesystem::path& folder, std::size_t& compared) {
    unsigned step = 100;
    std::smatch found;
    for (const std::string& line : read_lines(folder / "env.conf"))
        if (std::regex_search(line, found, std::regex("autoinc_step=(\\d+)")))
            step = static_cast<unsigned>(std::stoul(found[1]));

    std::vector<Numbered> rules;
    std::uint32_t disabled = 0;
    unsigned last = 0;
    RuleFile file = parse_file(read_file(folder / "rules.ipfw"), system_resolver());
    for (const FileError& error : file.errors)
        ADD_FAILURE() << folder << ": " << error.text();
    for (const FileLine& line : file.lines)
        if (const auto* sets = std::get_if<SetEnableCommand>(&line.invocation.command))
            disabled |= sets->disable;
    for (const FileLine& line : file.lines) {
        const auto* add = std::get_if<AddCommand>(&line.invocation.command);
        if (add == nullptr)
            continue;
        unsigned number = add->rule.number == 0 ? last + step : add->rule.number;
        last = std::max(last, number);
        rules.push_back({number, print_rule(add->rule, {.resolver = &system_resolver()}),
                         (disabled >> add->rule.set & 1) != 0});
    }
    std::stable_sort(rules.begin(), rules.end(),
                     [](const Numbered& a, const Numbered& b) { return a.number < b.number; });
    // The tool of 2014 printed the rule before it once more in the place of a hidden one.
    std::vector<std::string> ours;
    for (const Numbered& rule : rules) {
        if (!rule.hidden)
            ours.push_back(print_rule_number(static_cast<std::uint16_t>(rule.number)) + " " +
                           rule.text);
        else if (!ours.empty())
            ours.push_back(ours.back());
    }
    std::vector<std::string> old = read_lines(folder / "list.txt");
    std::erase_if(old, [](const std::string& line) { return line.starts_with("65535 "); });
    ASSERT_EQ(ours.size(), old.size()) << folder;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        bool lost_comment = old[i].ends_with("check-state") && ours[i].starts_with(old[i]);
        EXPECT_TRUE(same_text(ours[i], old[i]) || lost_comment)
            << folder << "\n  2014: " << old[i] << "\n  ours: " << ours[i];
        ++compared;
    }
}

TEST(Oracle2014, Listings) {
    std::size_t compared = 0;
    for (const char* name : {"conformance", "conformance-real"}) {
        auto root = shared_directory() / name;
        if (!std::filesystem::exists(root))
            GTEST_SKIP() << root << " is absent";
        for (const auto& entry : std::filesystem::directory_iterator(root))
            if (entry.is_directory())
                expect_same_list(entry.path(), compared);
    }
    EXPECT_GT(compared, 10000u);
}

}  // namespace
}  // namespace sluice::language
