#include "controlplane/language/names.h"

#include <gtest/gtest.h>

#include "controlplane/language/keywords.h"

namespace sluice::language {
namespace {

TEST(NameDatabase, BuiltInNames) {
    NameDatabase names("", "");
    EXPECT_EQ(names.service("http"), 80);
    EXPECT_EQ(names.service("domain", "udp"), 53);
    EXPECT_EQ(names.service("natd", "divert"), 8668);
    EXPECT_EQ(names.service("nosuch"), std::nullopt);
    EXPECT_EQ(names.protocol("tcp"), 6);
    EXPECT_EQ(names.protocol("icmp6"), 58);
    EXPECT_EQ(names.protocol("ipv6-icmp"), 58);
    EXPECT_EQ(names.protocol("ip"), std::nullopt);
    EXPECT_EQ(names.protocol_name(58), "ipv6-icmp");
    EXPECT_EQ(names.protocol_name(4), "ipencap");
    EXPECT_EQ(names.protocol_name(89), "ospf");
    EXPECT_EQ(names.protocol_name(99), std::nullopt);
}

TEST(NameDatabase, FilesAdd) {
    NameDatabase names(
        "# services\n"
        "tcpmux 1/tcp # a comment\n"
        "web 80/tcp www www-http\n"
        "broken 99999/tcp\n"
        "broken2 x/tcp\n"
        "short\n"
        "rlogin 513/tcp\n"
        "last 7777/udp",
        "ip 0 IP\n"
        "foo 253 FOO\n"
        "bad 256 BAD\n"
        "TCP 6\n");
    EXPECT_EQ(names.service("tcpmux"), 1);
    EXPECT_EQ(names.service("www-http"), 80);
    EXPECT_EQ(names.service("last"), 7777);
    EXPECT_EQ(names.service("last", "udp"), 7777);
    EXPECT_EQ(names.service("broken"), std::nullopt);
    EXPECT_EQ(names.service_name(80, "tcp"), "http");  // the built-in name stays
    EXPECT_EQ(names.service_name(7777, "udp"), "last");
    EXPECT_EQ(names.service_name(7777, "tcp"), std::nullopt);
    EXPECT_EQ(names.service_name(7777), "last");
    EXPECT_EQ(names.protocol("FOO"), 253);
    EXPECT_EQ(names.protocol_name(253), "foo");
    EXPECT_EQ(names.protocol("bad"), std::nullopt);
}

TEST(Resolvers, RefusingKnowsNothing) {
    const NameResolver& resolver = refusing_resolver();
    EXPECT_FALSE(resolver.host("localhost", AddressFamily::any));
    EXPECT_FALSE(resolver.user("root"));
    EXPECT_FALSE(resolver.group_name(0));
}

TEST(Resolvers, SystemKnowsRoot) {
    EXPECT_EQ(system_resolver().user("root"), 0u);
    EXPECT_EQ(system_resolver().user_name(0), "root");
    EXPECT_FALSE(system_resolver().user("no such user"));
}

TEST(Keywords, CanonicalWordComesFirst) {
    EXPECT_EQ(keyword_name(action_keywords(), ActionKind::allow), "allow");
    EXPECT_EQ(keyword_name(action_keywords(), ActionKind::deny), "deny");
    EXPECT_EQ(keyword_name(option_keywords(), Option::established), "established");
    EXPECT_EQ(keyword_name(option_keywords(), Option::ipversion), "ipver");
}

TEST(Keywords, Nearest) {
    EXPECT_EQ(nearest_keyword("estblished", option_keywords()), "established");
    EXPECT_EQ(nearest_keyword("ESTABLISHED", option_keywords()), "established");
    EXPECT_EQ(nearest_keyword("verrev", option_keywords()), "verrevpath");
    EXPECT_EQ(nearest_keyword("xyzzy", option_keywords()), "");
    EXPECT_EQ(nearest_keyword("x", option_keywords()), "");
    EXPECT_EQ(nearest_keyword(std::string(1000, 'e'), option_keywords()), "");
}

}  // namespace
}  // namespace sluice::language
