/* A disk that is slower by one millisecond: every fsync and fdatasync sleeps after it is done.
   Loaded before libc (LD_PRELOAD), so the program under test is the one that users run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static const struct timespec extra = {.tv_sec = 0, .tv_nsec = 1000000};

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    nanosleep(&extra, 0);
    return result;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    nanosleep(&extra, 0);
    return result;
}
