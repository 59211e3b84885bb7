# Writes postern.js with its parts in place: cmake -DIN=src/client/postern.js -DOUT=… -P join.cmake
# Each line "  //= postern/NAME.js" of IN is replaced by that file.
get_filename_component(folder ${IN} DIRECTORY)
file(READ ${IN} script)
string(REGEX MATCHALL "  //= [a-z0-9_/]+\\.js\n" lines "${script}")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^  //= (.*)\n$" "\\1" name "${line}")
  file(READ ${folder}/${name} part)
  string(REPLACE "${line}" "${part}\n" script "${script}")
endforeach()
file(WRITE ${OUT} "${script}")
