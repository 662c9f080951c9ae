#include "gateway/settings_reader.hpp"
#include "gateway/settings_words.hpp"

namespace imdsgate {

using yaml::Map;

void SettingsReader::read_classes(Map &map, std::array<std::optional<Verdict>, 6> &classes) {
  auto const value = map.find("classes");
  if (!value) return;
  Map words(reader, *value);
  for (auto const &[word, path_class] : kClasses) choose(words, word, kVerdicts, classes[index(path_class)]);
  words.finish();
}

void SettingsReader::read_verdicts(Map &root) {
  auto &choices = configuration.choices;
  choose(root, "unattributed", kVerdicts, choices.unattributed);
  read_classes(root, choices.classes);
  choose(root, "unknown", kVerdicts, choices.unknown);
}

}  // namespace imdsgate
