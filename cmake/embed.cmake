# cmake -DOUT=… -DROOT=… "-DFILES=a;b" -P embed.cmake: writes a .cpp that answers imdsgate::embedded(name), see model/embedded.hpp.
set(text "#include \"model/embedded.hpp\"\n\n#include <array>\n\nnamespace imdsgate {\nnamespace {\nconstexpr std::pair<std::string_view, std::string_view> kFiles[] = {\n")
foreach(file IN LISTS FILES)
  file(RELATIVE_PATH name ${ROOT} ${file})
  file(READ ${file} content)
  # A string literal is limited to 64 KiB by the standard's minimum only; g++ has no such limit.
  string(APPEND text "    {\"${name}\", R\"__EMBED__(${content})__EMBED__\"},\n")
endforeach()
string(APPEND text "    {\"\", \"\"},\n};\n}  // namespace\n\nstd::optional<std::string_view> embedded(std::string_view name) {\n  for (auto const &[key, content] : kFiles) {\n    if (key == name && !key.empty()) return content;\n  }\n  return std::nullopt;\n}\n\nstd::vector<std::string_view> embedded_names(std::string_view prefix) {\n  std::vector<std::string_view> names;\n  for (auto const &[key, content] : kFiles) {\n    if (!key.empty() && key.starts_with(prefix)) names.push_back(key);\n  }\n  return names;\n}\n}  // namespace imdsgate\n")
# Not file(CONFIGURE): it would take the @PLACEHOLDERS@ of the data for variables.
file(WRITE ${OUT} "${text}")
