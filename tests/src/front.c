/* A PKCS#11 module in front of a real one (SoftHSM), which makes its token look like tokens that are
 * not on this machine: a PIN pad, a card with one try left, an HSM with raw RSA only, one session.
 *
 * Environment, numbers in C's notation:
 *   FRONT_MODULE           the real module
 *   FRONT_SET, FRONT_CLEAR flags of CK_TOKEN_INFO
 *   FRONT_PAD_PIN          the PIN that is "typed" on the token's own keypad: C_Login takes NULL only
 *   FRONT_OPEN_PIN         log in when the first session is opened; C_Login must not be called
 *   FRONT_TWINS            all tokens have the label and serial number of the first one
 *   FRONT_HIDE             mechanisms that the token does not have, separated by commas
 *   FRONT_SESSIONS         how many sessions may be open at once
 *   FRONT_LOGIN_RESULT, FRONT_SIGN_RESULT, FRONT_LIST_RESULT, FRONT_OPEN_RESULT  what these functions return instead of working
 */

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>

static CK_FUNCTION_LIST real, front;
static unsigned long open_sessions;
static int logged_in;

static unsigned long number(const char *name)
{
    const char *value = getenv(name);

    return value == NULL ? 0 : strtoul(value, NULL, 0);
}

static int is_hidden(CK_MECHANISM_TYPE mechanism)
{
    const char *next = getenv("FRONT_HIDE");

    while (next != NULL) {
        if (strtoul(next, NULL, 0) == mechanism)
            return 1;
        next = strchr(next, ',');
        if (next != NULL)
            next++;
    }
    return 0;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
    static CK_TOKEN_INFO first;
    CK_RV code = real.C_GetTokenInfo(slot, info);

    if (code != CKR_OK)
        return code;
    info->flags = (info->flags | number("FRONT_SET")) & ~number("FRONT_CLEAR");
    if (getenv("FRONT_TWINS") != NULL && (info->flags & CKF_TOKEN_INITIALIZED)) {
        if (first.flags == 0)
            first = *info;
        memcpy(info->label, first.label, sizeof(info->label));
        memcpy(info->serialNumber, first.serialNumber, sizeof(info->serialNumber));
    }
    return CKR_OK;
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
    CK_RV code = real.C_GetMechanismList(slot, list, count);
    CK_ULONG i, kept = 0;

    if (getenv("FRONT_LIST_RESULT") != NULL)
        return number("FRONT_LIST_RESULT");
    if (code != CKR_OK || list == NULL)
        return code;
    for (i = 0; i < *count; i++)
        if (!is_hidden(list[i]))
            list[kept++] = list[i];
    *count = kept;
    return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE_PTR session)
{
    char *pin = getenv("FRONT_OPEN_PIN");
    CK_RV code;

    if (getenv("FRONT_OPEN_RESULT") != NULL)
        return number("FRONT_OPEN_RESULT");
    if (getenv("FRONT_SESSIONS") != NULL && open_sessions >= number("FRONT_SESSIONS"))
        return CKR_SESSION_COUNT;
    code = real.C_OpenSession(slot, flags, application, notify, session);
    if (code != CKR_OK)
        return code;
    __atomic_add_fetch(&open_sessions, 1, __ATOMIC_SEQ_CST);
    if (pin != NULL && !logged_in) {
        logged_in = 1;
        return real.C_Login(*session, CKU_USER, (CK_UTF8CHAR_PTR)pin, strlen(pin));
    }
    return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
    __atomic_sub_fetch(&open_sessions, 1, __ATOMIC_SEQ_CST);
    return real.C_CloseSession(session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
    char *typed = getenv("FRONT_PAD_PIN");

    if (getenv("FRONT_LOGIN_RESULT") != NULL)
        return number("FRONT_LOGIN_RESULT");
    if (getenv("FRONT_OPEN_PIN") != NULL)
        return CKR_FUNCTION_FAILED;
    if (typed == NULL)
        return real.C_Login(session, user, pin, length);
    if (pin != NULL)
        return CKR_ARGUMENTS_BAD;
    return real.C_Login(session, user, (CK_UTF8CHAR_PTR)typed, strlen(typed));
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
    if (is_hidden(mechanism->mechanism))
        return CKR_MECHANISM_INVALID;
    return real.C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature,
                  CK_ULONG_PTR size)
{
    CK_RV code = real.C_Sign(session, data, length, signature, size);

    return getenv("FRONT_SIGN_RESULT") == NULL ? code : number("FRONT_SIGN_RESULT");
}

static CK_RV get_function_list(CK_FUNCTION_LIST_PTR_PTR list)
{
    *list = &front;
    return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
    void *library = dlopen(getenv("FRONT_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    CK_FUNCTION_LIST_PTR theirs;

    if (get == NULL || get(&theirs) != CKR_OK)
        return CKR_GENERAL_ERROR;
    real = front = *theirs;
    front.C_GetFunctionList = get_function_list;
    front.C_GetTokenInfo = get_token_info;
    front.C_GetMechanismList = get_mechanism_list;
    front.C_OpenSession = open_session;
    front.C_CloseSession = close_session;
    front.C_Login = login;
    front.C_SignInit = sign_init;
    front.C_Sign = sign;
    *list = &front;
    return CKR_OK;
}
