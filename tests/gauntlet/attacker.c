/*
 * Exchanges two names, again and again, until SIGTERM or COUNT exchanges: a directory with a link
 * that leads out of the tree.
 *
 * usage: attacker COUNT A B
 *
 * Prints how many exchanges were made.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stop;

static void on_term(int number)
{
	stop = number;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: attacker COUNT A B\n");
		return 2;
	}
	unsigned long count = strtoul(argv[1], NULL, 10), done = 0;
	signal(SIGTERM, on_term);
	while (!stop && done < count) {
		if (renameat2(AT_FDCWD, argv[2], AT_FDCWD, argv[3], RENAME_EXCHANGE) != 0) {
			perror("attacker");
			return 1;
		}
		done++;
	}
	printf("%lu\n", done);
	return 0;
}
