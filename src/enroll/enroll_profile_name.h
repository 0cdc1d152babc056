/* Subject and SAN rules of a profile: part of enroll_profile_decide.c, for nobody else. */
#ifndef MU_ENROLL_PROFILE_NAME_H
#define MU_ENROLL_PROFILE_NAME_H

#include "enroll/enroll_profile.h"

/* asked with the parts of subject-drop gone and those of subject-set in their places: where the
 * first of the same type stood, else before the CN, else last. */
enum mu_code mu_enroll_profile_name_apply(const struct mu_enroll_profile *profile,
    struct mu_bytes asked, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* Refusal MU_REFUSE_NAME that names the part which does not fit. */
enum mu_code mu_enroll_profile_name_fits(
    const struct mu_enroll_profile *profile, struct mu_bytes asked, struct mu_err *err) MU_CHECK;
/* Form (CA-12) and, if the rule is a list of patterns, each name against them. */
enum mu_code mu_enroll_profile_san_fits(
    const struct mu_enroll_profile *profile, struct mu_bytes san, struct mu_err *err) MU_CHECK;
/* '*' stands for any run of characters without '*': a wildcard is granted only literally. */
bool mu_enroll_profile_glob(const char *glob, const char *text);

#endif
