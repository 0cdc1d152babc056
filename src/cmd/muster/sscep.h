/* muster under the name of sscep: the original's operations, options, files and exit codes. */
#ifndef MU_SSCEP_H
#define MU_SSCEP_H

/* argv[0] is the program's name, argv[1] the operation. Returns the exit code. */
int mu_sscep_main(int argc, char **argv);

#endif
