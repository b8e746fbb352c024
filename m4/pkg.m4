dnl The few checks that configure.ac needs. What they find adds up in DEPENDENCY_CFLAGS and DEPENDENCY_LIBS.
AC_SUBST([DEPENDENCY_CFLAGS])
AC_SUBST([DEPENDENCY_LIBS])

dnl POSTERN_MISSING(WHAT): the one way to stop for something that is not installed.
AC_DEFUN([POSTERN_MISSING],
  [AC_MSG_ERROR([$1 not found; "make deps" names what to install])])

dnl POSTERN_PACKAGE(MODULE): asks pkg-config.
AC_DEFUN([POSTERN_PACKAGE], [
  AC_ARG_VAR([PKG_CONFIG], [the pkg-config program])
  AS_IF([test -z "$PKG_CONFIG"], [AC_PATH_PROGS([PKG_CONFIG], [pkg-config pkgconf])])
  AS_IF([test -z "$PKG_CONFIG"], [POSTERN_MISSING([pkg-config])])
  AC_MSG_CHECKING([for $1])
  AS_IF([$PKG_CONFIG --exists $1],
    [DEPENDENCY_CFLAGS="$DEPENDENCY_CFLAGS `$PKG_CONFIG --cflags $1`"
     DEPENDENCY_LIBS="$DEPENDENCY_LIBS `$PKG_CONFIG --libs $1`"
     AC_MSG_RESULT([`$PKG_CONFIG --modversion $1`])],
    [AC_MSG_RESULT([no])
     POSTERN_MISSING([$1])])
])

dnl POSTERN_LIBRARY(LINKER FLAG, PACKAGE, DECLARATIONS, STATEMENT): for libraries without a useful .pc file; links a program.
AC_DEFUN([POSTERN_LIBRARY], [
  AC_MSG_CHECKING([for $2])
  postern_saved_LIBS=$LIBS
  LIBS="$LIBS $1"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([$3], [$4])],
    [AC_MSG_RESULT([$1])
     DEPENDENCY_LIBS="$DEPENDENCY_LIBS $1"],
    [AC_MSG_RESULT([no])
     POSTERN_MISSING([$2])])
  LIBS=$postern_saved_LIBS
])

dnl POSTERN_HEADER(HEADER, PACKAGE): for libraries that are only headers; preprocesses, because compiling them takes seconds.
AC_DEFUN([POSTERN_HEADER], [
  AC_MSG_CHECKING([for $2])
  AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <$1>]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     POSTERN_MISSING([$2])])
])

dnl POSTERN_CXX_FLAG(VARIABLE, FLAG): appends FLAG when the compiler takes it without a word.
AC_DEFUN([POSTERN_CXX_FLAG], [
  AC_MSG_CHECKING([whether $CXX takes $2])
  postern_flag_CXXFLAGS=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS -Werror $2"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes])
     $1="$$1 $2"],
    [AC_MSG_RESULT([no])])
  CXXFLAGS=$postern_flag_CXXFLAGS
])
