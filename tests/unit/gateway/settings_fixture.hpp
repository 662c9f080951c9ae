// A configuration as a test writes it, and the problems that were found in it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "gateway/settings.hpp"
#include "temporary_directory.hpp"

namespace imdsgate::test {

inline constexpr char const *kRule = "id: a-rule\nname: A rule\nquery: process where process.name == \"x\"\n";

// A directory of its own for each test: imdsgate.yaml, and a dmi/ that says EC2 unless told otherwise.
class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { write("dmi/sys_vendor", "Amazon EC2\n"); }

  void write(std::string const &name, std::string const &text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  Configuration load(std::string const &text) {
    write("imdsgate.yaml", text);
    return load_configuration(root_ / "imdsgate.yaml", true, root_ / "dmi");
  }
  std::string file(std::string const &name) const { return (root_ / name).string(); }

  // "line:column: text", warnings with theirs; those of the rules left out.
  std::vector<std::string> problems(Configuration const &configuration) const {
    std::vector<std::string> texts;
    for (auto const &problem : configuration.problems) {
      if (problem.file != file("imdsgate.yaml")) continue;
      texts.push_back(problem.to_string().substr(problem.file.size() + 1));
    }
    return texts;
  }

 private:
  TemporaryDirectory directory_;

 protected:
  std::filesystem::path const root_ = directory_ / "";
};

}  // namespace imdsgate::test
