#include "controlplane/language/usage.h"

#include "controlplane/language/keywords.h"

namespace sluice::language {

namespace {

constexpr std::string_view kSynopsis =
    R"(ipfw syntax summary; the manual page ipfw(8) has the details

    ipfw [-abcdDefhinNqStTv] [-s [field]] COMMAND
    ipfw [-cfnNqS] [-p preproc [-D macro[=value]] [-U macro]] /pathname

COMMAND
    add [N] [set S] [prob P] RULE       add a rule; without N it goes to the end
    delete N|A-B|set S ...              delete rules
    flush                               delete all rules but the default and set 31
    list|show|print [N|A-B ...]         list rules; show adds the counters
    zero|resetlog [N ...]               clear counters; re-arm log limits
    set show | disable S... enable S... | move [rule] X to S | swap S S
    set S COMMAND                       a command on one set
    enable|disable WORD                 firewall one_pass debug verbose dyn_keepalive
    table T create [type addr|iface|number|flow|mac] [valtype V,...] [algo A]
                   [limit N] [locked] [missing] [or-flush]
    table T [atomic] add K [V] ... [ttl TIME] | delete K ... | lookup K | swap T | load FILE
    table T|all list|info|detail|flush|destroy
    table T modify limit N | lock | unlock
    pattern P create [type bytes|names] [mode packet|stream] [depth N] [dir out|in|both]
                     [nocase] [missing] [or-flush]
    pattern P add PATTERN [V] ... | delete PATTERN ... | load FILE | swap P
    pattern P|all list|info|destroy     PATTERN is "TEXT", hex:0d0a, re:/REGEX/[ims], a domain
    pattern P show | flush | lint
    sysctl [-an] [-w] NAME[=VALUE] ...  read and write net.inet.ip.fw.*
    [-fq] state list|kill|count [FILTER ...] [--json]
                                        dynamic rules; FILTER is host ADDR[/LEN], port N,
                                        proto P, rule N, name :NAME or age SECONDS
    show --cost [--json]                what the rules cost a packet
    apply [--if-gen N] [--confirm TIME] [--states keep|recheck|flush] FILE | confirm
                                        a file becomes the ruleset, for a time or for good
    rollback [N]                        back from what waits for confirm, or to number N
    history [--json] | history show N [--json]
    save [FILE]                         wait for the disk; or what runs, as a rule file
    trace [--rules FILE [--env ENV]] PACKET [--json]
                                        the rules that a packet meets
    lock | panic deny|pass|off          no changes any more; all IP is dropped or passes
    replay ...                          a capture file passes through a ruleset
    check [--json] FILE ...             what loading the files would say; no daemon
    diff [--json] A B                   rules that differ; A and B are files or `running`
    lint [--all] [--json] [FILE|running]
                                        rules that do nothing, or not what they seem to
    logsum [--inside NET,...] [--top N] [--json] [FILE|-]
                                        what log lines say together
    tail [FILTER ...] [-c N] [--json]   the log as it is written; FILTER is host, port, proto,
                                        rule, in|out, accept|deny
    capture [FILTER ...] [-c N] [-s BYTES] -w FILE
                                        packets as the rules saw them, as pcapng
    trace --live [FILTER ...] [-c N] [--json]
                                        the way of packets through the rules, as they come
    top [--once] [--json] [--interval S]
                                        ports, workers and rules by what they do in a second
    unused [--since TIME] [--json]      rules that have not matched for 90d, or another time

FLAGS
    -a counters  -b action and comment only  -c compact  -d states too  -D states only
    -e expired states too  -f do not ask  -h this text  -i table values as addresses  -n only check
    -N names in the output  -q quiet  -S sets  -t, -T last match  -v verbose
    --json, as the last word of a command that tells something: for programs

RULE
    ACTION [MODIFIERS] [PROTO from ADDR [PORTS] to ADDR [PORTS]] [OPTIONS] [// comment]
    PROTO   ip | ip4 | ip6 | name or number | { PROTO or PROTO ... }
    ADDR    [not] any | me | me6 | A.B.C.D[/N|:MASK],... | A.B.C.0/24{1,5-9} | IPV6[/N],...
            | host | table(T[,V]) | { ADDR or ADDR ... }
    PORTS   [not] 80,1000-2000,http
    [not] stands before any option; { OPTION or OPTION ... } takes one of them
)";

template <typename Value>
void append(std::string& text, std::string_view title, std::span<const Keyword<Value>> table) {
    constexpr std::size_t kColumn = 40;
    text += "\n" + std::string(title) + "\n";
    for (const auto& keyword : table) {
        if (keyword.help.empty())
            continue;
        std::string line = "    " + std::string(keyword.name);
        if (!keyword.arguments.empty())
            line += " " + std::string(keyword.arguments);
        if (line.size() < kColumn)
            line.resize(kColumn, ' ');
        else
            line += "  ";
        text += line + std::string(keyword.help) + "\n";
    }
}

}  // namespace

std::string usage() {
    std::string text(kSynopsis);
    append(text, "ACTION", action_keywords());
    append(text, "MODIFIERS", modifier_keywords());
    append(text, "OPTIONS", option_keywords());
    return text;
}

}  // namespace sluice::language
