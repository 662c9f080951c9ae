#include "attribute/proc_parse.hpp"

#include <gtest/gtest.h>

namespace imdsgate {
namespace {

std::string stat_line(std::string const &comm) {
  return "4242 (" + comm +
         ") S 17 4242 4242 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 987654 1000 200 18446744073709551615 1 2 "
         "140720000000001 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 1 2 3 140720000000777 5 6 0\n";
}

TEST(ParseStat, ReadsTheFieldsWhateverCommHolds) {
  for (std::string const comm :
       {"curl", "a b", "(sd-pam)", ") S 1 (", "x) R 1 1", "new\nline", "\xc3\xa9t\xc3\xa9", "\xff\x01", ""}) {
    auto const stat = parse_stat(stat_line(comm));
    ASSERT_TRUE(stat) << comm;
    EXPECT_EQ(stat->pid, 4242);
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->parent, 17);
    EXPECT_EQ(stat->threads, 3u);
    EXPECT_EQ(stat->start_ticks, 987654u);
    EXPECT_EQ(stat->stack_start, 140720000000001u);
    EXPECT_EQ(stat->arg_start, 140720000000777u);
  }
}

TEST(ParseStat, RefusesWhatIsCutOrNoNumber) {
  auto const whole = stat_line("curl");
  auto const last = whole.find("140720000000777") + 15;
  for (std::size_t size = 0; size <= last; ++size) {
    EXPECT_FALSE(parse_stat(std::string_view(whole).substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_stat("x (curl) S 17 1 1"));
  auto bad = whole;
  bad.replace(bad.find("987654"), 6, "98765x");
  EXPECT_FALSE(parse_stat(bad));
}

TEST(ParseStatus, TellsTheIdsApart) {
  auto const status = parse_status(
      "Name:\tTracerPid:\t7\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t12\nNgid:\t0\nPid:\t13\nPPid:\t1\n"
      "TracerPid:\t99\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tgid, 12);
  EXPECT_EQ(status->tracer, 99);
  EXPECT_EQ(status->real_uid, 1u);
  EXPECT_EQ(status->effective_uid, 2u);
  EXPECT_EQ(status->saved_uid, 3u);
  EXPECT_EQ(status->real_gid, 5u);
  EXPECT_EQ(status->effective_gid, 6u);
}

TEST(ParseStatus, RefusesWhenOneIsMissing) {
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Name:\tx\nTgid:\t1\nTracerPid:\t0\nUid:\t0\t0\t0\t0\n"));
  EXPECT_FALSE(parse_status("Name:\tx\nTgid:\t1\nTracerPid:\t0\nUid:\t0\nGid:\t0\t0\t0\t0\n"));
  EXPECT_FALSE(
      parse_status("Uid:\t0\t0\t0\t0\nTgid:\t1\nTracerPid:\t0\nGid:\t0\t0\t0\t0\n"));  // the name's line
}

TEST(ParseCmdline, Splits) {
  using namespace std::string_literals;
  EXPECT_EQ(parse_cmdline("curl\0-s\0\0x\0"s).args, (std::vector<std::string>{"curl", "-s", "", "x"}));
  EXPECT_EQ(parse_cmdline("no final nul").args, (std::vector<std::string>{"no final nul"}));
  EXPECT_TRUE(parse_cmdline("").args.empty());
  EXPECT_TRUE(parse_cmdline("\0\0\0"s).args.empty());  // erased
}

TEST(ParseCmdline, IsCut) {
  std::string many;
  for (int i = 0; i < 65; ++i) many += std::string("a\0", 2);
  EXPECT_EQ(parse_cmdline(many).args.size(), kMaxArguments);
  EXPECT_TRUE(parse_cmdline(many).truncated);
  many.resize(many.size() - 2);
  EXPECT_FALSE(parse_cmdline(many).truncated);
  std::string const one(kMaxArgumentBytes + 1, 'x');
  EXPECT_EQ(parse_cmdline(one).args.front().size(), kMaxArgumentBytes);
  EXPECT_TRUE(parse_cmdline(one).truncated);
}

TEST(Cgroup2Path, IsTheUnifiedLine) {
  EXPECT_EQ(cgroup2_path("9:name=systemd:/x\n0::/system.slice/a.service\n"), "/system.slice/a.service");
  EXPECT_EQ(cgroup2_path("0::/\n"), "/");
  EXPECT_EQ(cgroup2_path("0::/a:b\n"), "/a:b");
  EXPECT_EQ(cgroup2_path("0::/gone (deleted)\n"), "/gone (deleted)");
  EXPECT_FALSE(cgroup2_path("9:name=systemd:/x\n"));
  EXPECT_FALSE(cgroup2_path("0::/../../system.slice/a.service\n"));  // outside this cgroup namespace
  EXPECT_FALSE(cgroup2_path("0::/..\n"));
  EXPECT_FALSE(cgroup2_path(""));
}

struct CgroupCase {
  std::string path;
  std::string container;  // "": none
  bool container_plausible;
  std::string unit;
  bool unit_plausible;
};

TEST(CgroupElements, AreNamedWhereTheHostPutsThem) {
  std::string const id(64, 'a'), inner(64, 'b');
  CgroupCase const cases[] = {
      {"/", "", false, "", false},
      {"/init.scope", "", false, "init.scope", true},
      {"/system.slice/ssh.service", "", false, "ssh.service", true},
      {"/system.slice/system-getty.slice/getty@tty1.service", "", false, "getty@tty1.service", true},
      {"/system.slice/docker-" + id + ".scope", id, true, "docker-" + id + ".scope", true},
      {"/docker/" + id, id, true, "", false},
      {"/docker/" + id + "/system.slice/ssm.service", id, true, "ssm.service", false},
      {"/docker/" + id + "/docker/" + inner, id, true, "", false},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-" + id +
           ".scope",
       id, true, "cri-containerd-" + id + ".scope", true},
      {"/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope", id, true, "crio-" + id + ".scope", true},
      {"/kubepods/burstable/pod1-2-3/" + id, id, true, "", false},
      {"/machine.slice/libpod-" + id + ".scope/container", id, true, "libpod-" + id + ".scope", true},
      {"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" + id + ".scope", id, false,
       "docker-" + id + ".scope", false},
      {"/user.slice/user-1000.slice/session-1.scope", "", false, "session-1.scope", false},
      {"/system.slice/a.service/b.service", "", false, "b.service", false},
      {"/system.slice/crio-conmon-" + id + ".scope", "", false, "crio-conmon-" + id + ".scope", true},
      {"/x/" + id, "", false, "", false},                         // no runtime above it
      {"/docker/" + id.substr(1), "", false, "", false},          // too short
      {"/docker/" + std::string(64, 'A'), "", false, "", false},  // not as a runtime writes it
      {"/system.slice/.service", "", false, "", false},
  };
  for (auto const &test : cases) {
    auto const container = container_of(test.path);
    EXPECT_EQ(container ? container->value : "", test.container) << test.path;
    EXPECT_EQ(container && container->plausible, test.container_plausible) << test.path;
    auto const unit = unit_of(test.path);
    EXPECT_EQ(unit ? unit->value : "", test.unit) << test.path;
    EXPECT_EQ(unit && unit->plausible, test.unit_plausible) << test.path;
  }
  EXPECT_EQ(container_of("/docker/" + id)->parent_path, "/docker");
  EXPECT_EQ(unit_of("/init.scope")->parent_path, "/");
}

TEST(ParseMountinfo, ReadsOptionalFieldsAndEscapes) {
  auto const mounts = parse_mountinfo(
      "22 1 0:21 / /a\\040b rw shared:1 master:2 - ext4 /dev/sda rw\n40 30 0:37 /sub /c rw - fuse.sshfs x "
      "rw\nrubbish\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].id, 22u);
  EXPECT_EQ(mounts[0].mount_point, "/a b");
  EXPECT_EQ(mounts[0].type, "ext4");
  EXPECT_EQ(mounts[1].root, "/sub");
  EXPECT_EQ(mounts[1].type, "fuse.sshfs");
}

TEST(LocalFilesystem, IsAnAllowlist) {
  for (auto const *type : {"ext4", "xfs", "tmpfs", "overlay", "btrfs"})
    EXPECT_TRUE(is_local_filesystem(type)) << type;
  for (auto const *type :
       {"fuse", "fuseblk", "fuse.sshfs", "nfs", "nfs4", "cifs", "9p", "ceph", "autofs", "virtiofs", ""}) {
    EXPECT_FALSE(is_local_filesystem(type)) << type;
  }
}

}  // namespace
}  // namespace imdsgate
