// The data in iptables/ rendered, read back, compared, and the way from one state to another: all without a
// kernel.
#include "intercept/ruleset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/embedded.hpp"

namespace imdsgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

FirewallSpec spec() {
  FirewallSpec spec;
  spec.endpoints = {{*Address::parse("169.254.169.254"), 80},
                    {*Address::parse("fd00:ec2::254"), 80},
                    {*Address::parse("168.63.129.16"), 32526}};
  spec.interfaces = {{"eth0", *Address::parse("10.0.0.5")},
                     {"eth0", *Address::parse("fd01::5")},
                     {"ens6.2", *Address::parse("10.0.1.5")}};
  spec.exemption = {0x1d5, 0xffff, 992, "system.slice/imdsgate.service"};
  spec.fence = true;
  return spec;
}

std::vector<OwnTable> render(FirewallSpec const &spec, bool ipv6) {
  auto const rendered =
      render_ruleset(spec, ipv6, *embedded(ipv6 ? "iptables/ipv6.rules" : "iptables/ipv4.rules"));
  EXPECT_TRUE(rendered) << rendered.error().detail;
  return rendered ? *rendered : std::vector<OwnTable>();
}

std::string text_of(std::vector<OwnTable> const &tables) {
  std::string text;
  for (auto const &table : tables) text += transition(nullptr, table);
  return text;
}

TEST(Ruleset, RendersIpv4) {
  EXPECT_EQ(text_of(render(spec(), false)), R"(*nat
:IMDSGATE - [0:0]
-A IMDSGATE -m conntrack --ctstate ESTABLISHED -j RETURN
-A IMDSGATE -m mark --mark 0x1d5/0xffff -m owner --uid-owner 992 -m cgroup --path "system.slice/imdsgate.service" -j RETURN
-A IMDSGATE -d 169.254.169.254 -o eth0 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT --to-destination 10.0.0.5:880
-A IMDSGATE -d 169.254.169.254 -o ens6.2 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT --to-destination 10.0.1.5:880
-A IMDSGATE -d 168.63.129.16 -o eth0 -p tcp -m tcp --dport 32526 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT --to-destination 10.0.0.5:880
-A IMDSGATE -d 168.63.129.16 -o ens6.2 -p tcp -m tcp --dport 32526 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT --to-destination 10.0.1.5:880
-A IMDSGATE -d 169.254.169.254 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 880
-A IMDSGATE -d 168.63.129.16 -p tcp -m tcp --dport 32526 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 880
-I OUTPUT 1 -p tcp -j IMDSGATE
COMMIT
*filter
:IMDSGATE-FENCE - [0:0]
-A IMDSGATE-FENCE -m mark --mark 0x1d5/0xffff -m owner --uid-owner 992 -m cgroup --path "system.slice/imdsgate.service" -j RETURN
-A IMDSGATE-FENCE -d 169.254.169.254 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset
-A IMDSGATE-FENCE -d 168.63.129.16 -p tcp -m tcp --dport 32526 -j REJECT --reject-with tcp-reset
-I OUTPUT 1 -p tcp -j IMDSGATE-FENCE
COMMIT
)");
}

// A socket of uid 0's helper has neither the daemon's uid nor any other endpoint.
TEST(Ruleset, ExemptsUidZeroWhereItDialsForTheGateway) {
  auto wire = spec();
  wire.interfaces.clear();
  wire.dialled_as_root = {wire.endpoints.back()};
  std::string const terms = "-m mark --mark 0x1d5/0xffff -m owner --uid-owner ";
  std::string const cgroup = " -m cgroup --path \"system.slice/imdsgate.service\" -j RETURN\n";
  std::string const root = " -d 168.63.129.16 -p tcp -m tcp --dport 32526 " + terms + "0" + cgroup;
  for (std::string const chain : {"-A IMDSGATE", "-A IMDSGATE-FENCE"}) {
    EXPECT_THAT(text_of(render(wire, false)), HasSubstr(chain + ' ' + terms + "992" + cgroup + chain + root));
  }
  EXPECT_THAT(text_of(render(wire, true)), Not(HasSubstr("--uid-owner 0")));
  for (auto const uid : {std::optional<uid_t>(0), std::optional<uid_t>()}) {
    wire.exemption.uid = uid;
    EXPECT_THAT(text_of(render(wire, false)), Not(HasSubstr("--dport 32526 -m mark"))) << "it is exempt already";
  }
}

TEST(Ruleset, RendersIpv6WithoutWhatIsNotSet) {
  auto audit = spec();
  audit.fence = false;
  audit.exemption = {0x10000, 0xff0000, std::nullopt, std::nullopt};
  EXPECT_EQ(text_of(render(audit, true)), R"(*nat
:IMDSGATE - [0:0]
-A IMDSGATE -m conntrack --ctstate ESTABLISHED -j RETURN
-A IMDSGATE -m mark --mark 0x10000/0xff0000 -j RETURN
-A IMDSGATE -d fd00:ec2::254 -o eth0 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT --to-destination [fd01::5]:880
-A IMDSGATE -d fd00:ec2::254 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 880
-I OUTPUT 1 -p tcp -j IMDSGATE
COMMIT
)");
}

// Only what comes in over the bridge, to that bridge's own address; the fence holds where it has none.
TEST(Ruleset, LeadsHereWhatComesInOverABridge) {
  auto bridged = spec();
  bridged.bridges = {"docker0", "br-x"};
  bridged.endpoints = {{*Address::parse("169.254.169.254"), 80}, {*Address::parse("fd00:ec2::254"), 80}};
  bridged.interfaces = {{"eth0", *Address::parse("10.0.0.5")}, {"docker0", *Address::parse("172.17.0.1")}};
  auto const v4 = text_of(render(bridged, false));
  EXPECT_THAT(v4, HasSubstr(
      "-A IMDSGATE-BRIDGES -d 169.254.169.254 -i docker0 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DNAT "
      "--to-destination 172.17.0.1:880\n"
      "-I OUTPUT 1 -p tcp -j IMDSGATE\n"
      "-I PREROUTING 1 -p tcp -j IMDSGATE-BRIDGES\n"));
  EXPECT_THAT(v4, HasSubstr(
      "-A IMDSGATE-BRIDGE-FENCE -d 169.254.169.254 -i docker0 -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset\n"
      "-A IMDSGATE-BRIDGE-FENCE -d 169.254.169.254 -i br-x -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset\n"
      "-I OUTPUT 1 -p tcp -j IMDSGATE-FENCE\n"
      "-I FORWARD 1 -p tcp -j IMDSGATE-BRIDGE-FENCE\n"));
  EXPECT_THAT(v4, Not(HasSubstr("-i eth0")));
  auto const v6 = text_of(render(bridged, true));
  EXPECT_THAT(v6, Not(HasSubstr("IMDSGATE-BRIDGES -d")));
  EXPECT_THAT(v6, HasSubstr("IMDSGATE-BRIDGE-FENCE -d fd00:ec2::254 -i docker0"));
  bridged.interfaces = {{"docker0", *Address::parse("fd01::1")}};
  EXPECT_THAT(text_of(render(bridged, true)), HasSubstr("-j DNAT --to-destination [fd01::1]:880"));
  bridged.draining = true;
  EXPECT_THAT(text_of(render(bridged, true)), Not(HasSubstr("DNAT")));
  bridged.bridges = {"a+"};
  EXPECT_FALSE(render_ruleset(bridged, false, *embedded("iptables/ipv4.rules")));
}

TEST(Ruleset, WantsNothingOfAFamilyWithoutEndpoints) {
  auto v6 = spec();
  v6.endpoints = {{*Address::parse("fd00:ec2::254"), 80}};
  auto const tables = render(v6, false);
  ASSERT_EQ(tables.size(), 2U);
  EXPECT_TRUE(tables[0].empty());
  EXPECT_TRUE(tables[1].empty());
  EXPECT_EQ(text_of(tables), "");
}

TEST(Ruleset, RefusesWhatWouldMeanSomethingElse) {
  auto const refused = [](auto change) {
    auto bad = spec();
    change(bad);
    return !render_ruleset(bad, false, *embedded("iptables/ipv4.rules"));
  };
  EXPECT_FALSE(refused([](FirewallSpec &) {}));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.mark = 0; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.mask = 0; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.mark = 0x101d5; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.cgroup = ""; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.cgroup = "/"; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.exemption.cgroup = "a\n-A OUTPUT -j ACCEPT"; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.interfaces[0].interface = "eth+"; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.interfaces[0].interface = "e -j ACCEPT"; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.interfaces[0].interface = ""; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.listen_port = 0; }));
  EXPECT_TRUE(refused([](FirewallSpec &bad) { bad.endpoints[0].port = 0; }));
}

TEST(Ruleset, RefusesDataItDoesNotUnderstand) {
  for (std::string const data :
       {"-A X -j Y\n", "*nat\n-A IMDSGATE @WHAT@ -j RETURN\nCOMMIT\n", "*nat\nnonsense\nCOMMIT\n"}) {
    EXPECT_FALSE(render_ruleset(spec(), false, data)) << data;
  }
}

TEST(SavedRules, ReadsQuotingAndCounters) {
  auto const saved = parse_saved_rules(R"(# Generated by iptables-save
*nat
:OUTPUT ACCEPT [12:345]
:IMDSGATE - [0:0]
[7:420] -A OUTPUT -p tcp -j IMDSGATE
-A OUTPUT -m comment --comment "it\'s \"-j IMDSGATE\" \\" -j ACCEPT
-A OUTPUT
COMMIT
# Completed
)");
  ASSERT_TRUE(saved) << saved.error().detail;
  auto const *nat = saved->table("nat");
  ASSERT_NE(nat, nullptr);
  EXPECT_EQ(nat->chains[0].policy, "ACCEPT");
  ASSERT_EQ(nat->rules.size(), 3U);
  EXPECT_EQ(nat->rules[0].target(), "IMDSGATE");
  EXPECT_THAT(nat->rules[1].words,
              ElementsAre("-m", "comment", "--comment", "it's \"-j IMDSGATE\" \\", "-j", "ACCEPT"));
  EXPECT_EQ(nat->rules[1].target(), "ACCEPT");
  EXPECT_THAT(nat->rules[2].words, IsEmpty());
  EXPECT_EQ(saved->table("filter"), nullptr);
}

TEST(SavedRules, RefusesWhatItCannotRead) {
  for (std::string const text :
       {"*nat\n:OUTPUT ACCEPT [0:0]\n", "-A OUTPUT -j ACCEPT\n", "*nat\n*filter\nCOMMIT\n",
        "*nat\n-A OUTPUT \"open\nCOMMIT\n", "*nat\nwhat is this\nCOMMIT\n", "*nat\n:X\nCOMMIT\n",
        "*nat\n-A\nCOMMIT\n", "*nat\n[1:2 -A OUTPUT -j X\nCOMMIT\n"}) {
    EXPECT_FALSE(parse_saved_rules(text)) << text;
  }
  EXPECT_TRUE(parse_saved_rules(""));
}

TEST(SavedRules, QuotesAsIptablesSaveDoes) {
  EXPECT_EQ(quote_word("plain-word_1"), "plain-word_1");
  EXPECT_EQ(quote_word("system.slice/a.service"), "\"system.slice/a.service\"");
  EXPECT_EQ(quote_word(""), "\"\"");
  for (std::string const word : {"a b", "it's", "\"q\"", "back\\slash", "dev-disk\\x2d1.mount", " "}) {
    auto const split = split_words(quote_word(word));
    ASSERT_TRUE(split);
    EXPECT_THAT(*split, ElementsAre(word));
  }
}

bool same(std::string const &left, std::string const &right) {
  return canonical_rule(*split_words(left)) == canonical_rule(*split_words(right));
}

TEST(CanonicalRule, TakesSpellingsForTheSame) {
  EXPECT_TRUE(same("-d 1.2.3.4 -p tcp -j X", "-d 1.2.3.4/32 -p tcp -j X"));
  EXPECT_TRUE(same("-d FD00:EC2::254 -j X", "-d fd00:ec2::254/128 -j X"));
  EXPECT_TRUE(same("-o eth0 -d 1.2.3.4 -j X", "-d 1.2.3.4/32 -o eth0 -j X"));
  EXPECT_TRUE(same("-m mark --mark 0x1d5 -j X", "-m mark --mark 469/0xffffffff -j X"));
  EXPECT_TRUE(same("-m cgroup --path \"a.b\" -j X", "-m cgroup --path a.b -j X"));
}

TEST(CanonicalRule, NeverTakesDifferentRulesForTheSame) {
  EXPECT_FALSE(same("-d 1.2.3.4 -j X", "! -d 1.2.3.4 -j X"));
  EXPECT_FALSE(same("-d 1.2.3.4 -j X", "-s 1.2.3.4 -j X"));
  EXPECT_FALSE(same("-d 1.2.3.4 -j X", "-d 1.2.3.4/31 -j X"));
  EXPECT_FALSE(same("-d 1.2.3.4 -j X", "-d 1.2.3.4 -g X"));
  EXPECT_FALSE(same("-d 1.2.3.4 -j X", "-d 1.2.3.4 -m unknown -j X"));
  EXPECT_FALSE(same("-m mark --mark 0x1d5/0xffff -j X", "-m mark --mark 0x1d5/0x1ff -j X"));
  EXPECT_FALSE(same("-m mark --mark 0x1d5 -j X", "-m mark ! --mark 0x1d5 -j X"));
  EXPECT_FALSE(same("-m cgroup --path \"a b\" -j X", "-m cgroup --path a b -j X"));
  EXPECT_FALSE(same("-m owner --uid-owner 1 -j X", "-m owner --uid-owner 1-2 -j X"));
  EXPECT_FALSE(same("-j X !", "-j X"));
  EXPECT_FALSE(same("-p tcp -j X", "-j X"));
}

SavedTable table(std::string const &lines) {
  auto const saved = parse_saved_rules("*nat\n" + lines + "COMMIT\n");
  EXPECT_TRUE(saved);
  return saved ? saved->tables[0] : SavedTable();
}

OwnTable wanted_nat() {
  auto small = spec();
  small.interfaces.clear();
  small.endpoints = {{*Address::parse("169.254.169.254"), 80}};
  small.exemption = {0x1d5, 0xffff, 992, std::nullopt};
  return render(small, false)[0];
}

std::string const kOurChain =
    ":OUTPUT ACCEPT [0:0]\n:IMDSGATE - [0:0]\n"
    "-A IMDSGATE -m conntrack --ctstate ESTABLISHED -j RETURN\n"
    "-A IMDSGATE -m mark --mark 0x1d5/0xffff -m owner --uid-owner 992 -j RETURN\n"
    "-A IMDSGATE -d 169.254.169.254/32 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 880\n";

TEST(Differences, NoneWhenItIsAsWanted) {
  auto const there = table(kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n-A OUTPUT -d 10.0.0.1/32 -j ACCEPT\n");
  EXPECT_THAT(differences(own_part(&there, "nat"), wanted_nat()), IsEmpty());
  EXPECT_THAT(differences(own_part(nullptr, "nat"), OwnTable{"nat", {}, {}, {}}), IsEmpty());
}

TEST(Differences, SaysWhatDiffers) {
  struct Case {
    std::string lines;
    std::vector<std::string> said;
  };
  for (auto const &[lines, said] : {
           Case{"", {"nat/IMDSGATE: the chain is missing", "the jump (-p tcp -j IMDSGATE) is missing"}},
           Case{kOurChain, {"the jump (-p tcp -j IMDSGATE) is missing"}},
           Case{kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n-A OUTPUT -p tcp -j IMDSGATE\n",
                {"is there 2 times"}},
           Case{kOurChain + "-A OUTPUT -j ACCEPT\n-A OUTPUT -p tcp -j IMDSGATE\n",
                {"is rule 2, not the first"}},
           Case{kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n-A IMDSGATE -j ACCEPT\n",
                {"nat/IMDSGATE: not ours: -j ACCEPT"}},
           Case{kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n:IMDSGATE-X - [0:0]\n",
                {"nat/IMDSGATE-X: the chain should not be there"}},
           Case{kOurChain + "-A OUTPUT -p udp -j IMDSGATE\n",
                {"OUTPUT: not ours: -p udp -j IMDSGATE", "is missing"}},
           Case{kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n-A PREROUTING -j IMDSGATE\n",
                {"PREROUTING: not ours: -j IMDSGATE"}},
       }) {
    auto const there = table(lines);
    auto const found = differences(own_part(&there, "nat"), wanted_nat());
    ASSERT_EQ(found.size(), said.size()) << lines << ::testing::PrintToString(found);
    for (std::size_t i = 0; i < said.size(); ++i) EXPECT_THAT(found[i], HasSubstr(said[i]));
  }
}

TEST(Differences, OrderWithinAChainCounts) {
  auto const there = table(
      ":IMDSGATE - [0:0]\n-A OUTPUT -p tcp -j IMDSGATE\n"
      "-A IMDSGATE -d 169.254.169.254/32 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 880\n"
      "-A IMDSGATE -m conntrack --ctstate ESTABLISHED -j RETURN\n"
      "-A IMDSGATE -m mark --mark 0x1d5/0xffff -m owner --uid-owner 992 -j RETURN\n");
  EXPECT_THAT(differences(own_part(&there, "nat"), wanted_nat()),
              ElementsAre("nat/IMDSGATE: the rules are in another order"));
}

TEST(Differences, LeftoversAreNotAsWanted) {
  auto const there = table(kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n");
  EXPECT_THAT(differences(own_part(&there, "nat"), OwnTable{"nat", {}, {}, {}}),
              ElementsAre("nat/IMDSGATE: the chain should not be there",
                          "nat/OUTPUT: should not be there: -p tcp -j IMDSGATE"));
}

TEST(Transition, TakesOutEveryReferenceAndStaleChain) {
  auto const there =
      table(kOurChain +
            ":IMDSGATE-OLD - [0:0]\n-A OUTPUT -d 10.0.0.1/32 -m comment --comment \"a b\" -j IMDSGATE\n"
            "-A OUTPUT -j ACCEPT\n-A PREROUTING -g IMDSGATE-OLD\n");
  EXPECT_EQ(transition(&there, OwnTable{"nat", {}, {}, {}}), R"(*nat
-D OUTPUT -d 10.0.0.1/32 -m comment --comment "a b" -j IMDSGATE
-D PREROUTING -g IMDSGATE-OLD
-F IMDSGATE
-F IMDSGATE-OLD
-X IMDSGATE
-X IMDSGATE-OLD
COMMIT
)");
  EXPECT_EQ(transition(nullptr, OwnTable{"nat", {}, {}, {}}), "");
  auto const others = table(":OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 169.254.169.254/32 -j ACCEPT\n");
  EXPECT_EQ(transition(&others, OwnTable{"nat", {}, {}, {}}), "");
}

TEST(Transition, PutsReferencesBackWhereTheyWere) {
  auto const before =
      table(kOurChain +
            "-A OUTPUT -j A\n-A OUTPUT -p tcp -j IMDSGATE\n-A OUTPUT -j B\n-A OUTPUT -p tcp -j IMDSGATE\n");
  auto const now = table(kOurChain + "-A OUTPUT -p tcp -j IMDSGATE\n-A OUTPUT -j A\n-A OUTPUT -j B\n");
  auto const text = transition(&now, own_part(&before, "nat"));
  EXPECT_THAT(text, HasSubstr("-D OUTPUT -p tcp -j IMDSGATE\n"));
  EXPECT_THAT(text, HasSubstr("-I OUTPUT 2 -p tcp -j IMDSGATE\n-I OUTPUT 4 -p tcp -j IMDSGATE\n"));
}

}  // namespace
}  // namespace imdsgate
