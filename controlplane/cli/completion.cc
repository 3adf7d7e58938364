#include "controlplane/cli/completion.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "controlplane/language/keywords.h"
#include "controlplane/ruleset/sysctl.h"

namespace sluice::cli {
namespace {

using Words = std::vector<std::string_view>;

struct Verb {
    std::string_view name;
    std::string_view next;  // words that may stand behind it, separated by blanks
};

constexpr Verb kVerbs[] = {
    {"add", ""},
    {"apply", "--confirm --if-gen --states -f -n -q -v"},
    {"capture", "rule host port proto in out accept deny -c -s -w"},
    {"check", "--json"},
    {"confirm", ""},
    {"delete", "set"},
    {"diff", "running --json"},
    {"disable", "firewall one_pass debug verbose dyn_keepalive"},
    {"enable", "firewall one_pass debug verbose dyn_keepalive"},
    {"flush", ""},
    {"history", "show --json"},
    {"lint", "running --all --json"},
    {"list", "--json"},
    {"lock", ""},
    {"logsum", "--inside --top --json"},
    {"panic", "deny pass off"},
    {"replay",
     "--rules --packets --meta --env --workers --verdicts --log --show --dynamic --events"},
    {"pattern",
     "all create destroy add delete load list info show swap flush lint type mode depth dir bytes "
     "names packet stream in out both nocase missing or-flush --json"},
    {"resetlog", ""},
    {"rollback", "--confirm --if-gen --states"},
    {"save", ""},
    {"set", "show disable enable move swap --json"},
    {"show", "--cost --json"},
    {"state", "list kill count host port proto rule name age --json"},
    {"sysctl", "-a -n -w --json"},
    {"table",
     "all create destroy add delete lookup flush list info detail modify swap lock unlock load "
     "atomic "
     "type valtype algo limit locked missing or-flush ttl --json"},
    {"tail", "rule host port proto in out accept deny -c --json"},
    {"top", "--once --interval --json"},
    {"trace", "--rules --env --prob-as --live -c --json"},
    {"unused", "--since --json"},
    {"zero", ""},
};

// What stands in the body of a rule and is no keyword of a table.
constexpr std::string_view kBody =
    "ip ip4 ip6 tcp udp icmp ipv6-icmp from to any me me6 not or log logamount";
constexpr std::string_view kWithAnyRule = "set prob";

void append(std::string_view text, Words& words) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

template <typename Value>
void append(std::span<const language::Keyword<Value>> table, Words& words) {
    for (const auto& keyword : table)
        words.push_back(keyword.name);
}

template <typename Value>
bool is_in(std::span<const language::Keyword<Value>> table, const std::string& word) {
    return language::find_keyword(table, word) != nullptr;
}

// Behind `add`: an action comes first, then the rest in about any order.
void append_rule(std::span<const std::string> before, Words& words) {
    const bool acts = std::any_of(before.begin(), before.end(), [](const std::string& word) {
        return is_in(language::action_keywords(), word);
    });
    if (!acts) {
        append(kWithAnyRule, words);
        append(language::action_keywords(), words);
        return;
    }
    append(kBody, words);
    append(language::modifier_keywords(), words);
    append(language::option_keywords(), words);
}

bool is_flag(const std::string& word) {
    return word.size() > 1 && word.front() == '-';
}

Words candidates(std::span<const std::string> before) {
    Words words;
    const auto verb = std::find_if_not(before.begin(), before.end(), is_flag);
    if (verb == before.end()) {
        for (const Verb& known : kVerbs)
            words.push_back(known.name);
        return words;
    }
    const auto* known = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                     [&](const Verb& each) { return each.name == *verb; });
    // `set 3 add …`, `set 3 list`.
    if (*verb == "set" && before.end() - verb >= 2 && std::isdigit(verb[1].front()) != 0)
        return candidates(before.subspan(static_cast<std::size_t>(verb - before.begin()) + 2));
    if (known == std::end(kVerbs))
        return words;
    if (known->name == "add")
        append_rule({verb + 1, before.end()}, words);
    if (known->name == "sysctl")
        for (const ruleset::SysctlName& name : ruleset::sysctl_names())
            words.push_back(name.name);
    append(known->next, words);
    return words;
}

}  // namespace

std::vector<std::string> completions(std::span<const std::string> words) {
    std::vector<std::string> found;
    if (words.empty())
        return found;
    const std::string& part = words.back();
    for (const std::string_view word : candidates(words.first(words.size() - 1)))
        if (word.starts_with(part))
            found.emplace_back(word);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

}  // namespace sluice::cli
