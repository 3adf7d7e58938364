#include "controlplane/compiler/explain.h"

#include <cstdio>

#include "controlplane/language/expiry.h"
#include "controlplane/language/printer.h"

namespace sluice::compiler {
namespace {

using language::Group;
using language::Rule;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

// Addresses and protocol of a body have no option word in front of them.
std::string body_words(const Group& group, const std::string& preposition) {
    std::string text = language::print_group(group);
    for (const char* word : {"src-ip6 ", "src-ip ", "dst-ip6 ", "dst-ip ", "proto "})
        text = replaced(std::move(text), word, "");
    return preposition + text;
}

// One part of a rule, as a rule of its own: compiling that says where its test stands.
struct Part {
    Rule rule;
    std::string words;
};

Part option_part(const Group& group) {
    Part part;
    part.rule.options = {group};
    part.words = language::print_group(group);
    return part;
}

// In the order in which compile_tests takes them.
std::vector<Part> parts_of(const Rule& rule) {
    std::vector<Part> parts;
    if (rule.expires_s) {
        Part part{.rule = {}, .words = "expires " + language::expiry_text(*rule.expires_s)};
        part.rule.expires_s = rule.expires_s;
        parts.push_back(std::move(part));
    }
    if (rule.probability) {
        char words[32];
        std::snprintf(words, sizeof words, "prob %f", *rule.probability);
        Part part{.rule = {}, .words = words};
        part.rule.probability = rule.probability;
        parts.push_back(std::move(part));
    }
    if (rule.body) {
        const language::Body& body = *rule.body;
        const struct {
            const Group& group;
            const char* preposition;
        } groups[] = {{body.protocol, ""}, {body.source, "from "}, {body.destination, "to "}};
        for (const auto& [group, preposition] : groups) {
            Part part = option_part(group);
            part.words = body_words(group, preposition);
            parts.push_back(std::move(part));
        }
    }
    for (const Group& group : rule.options)
        parts.push_back(option_part(group));
    if (rule.body)
        for (const auto& ports : {rule.body->source_ports, rule.body->destination_ports})
            if (ports)
                parts.push_back(option_part({{*ports}}));
    return parts;
}

}  // namespace

std::vector<std::string> test_words(const Rule& rule, const TestContext& context) {
    std::vector<std::string> header, residual;
    for (Part& part : parts_of(rule)) {
        Sections sections;
        contract::RuleRecord record;
        if (!compile_tests(part.rule, context, sections, record))
            continue;
        if (record.header_count != 0)
            header.push_back(std::move(part.words));
        else if (record.residual_count != 0)
            residual.push_back(std::move(part.words));
    }
    header.insert(header.end(), residual.begin(), residual.end());
    return header;
}

}  // namespace sluice::compiler
