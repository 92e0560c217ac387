/* Decodes readings: a meter's number and its values. Each reading that fails its check takes a
 * report with it, which nobody frees. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

struct report {
    long meter;
    unsigned checksum;
    char detail[96];
};

static unsigned checksum(const unsigned char *bytes, Py_ssize_t length) {
    unsigned sum = 0;
    for (Py_ssize_t i = 0; i < length; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static PyObject *decode(PyObject *self, PyObject *args) {
    Py_buffer reading;
    int strict;
    if (!PyArg_ParseTuple(args, "y*p", &reading, &strict))
        return NULL;
    unsigned sum = checksum(reading.buf, reading.len);
    if (strict) {
        struct report *report = malloc(sizeof *report); /* culprit */
        if (report == NULL) {
            PyBuffer_Release(&reading);
            return PyErr_NoMemory();
        }
        report->meter = (long)reading.len;
        report->checksum = sum;
        memset(report->detail, 0x20, sizeof report->detail);
        PyBuffer_Release(&reading);
        return PyLong_FromUnsignedLong(report->checksum);
    }
    PyBuffer_Release(&reading);
    return PyLong_FromUnsignedLong(sum);
}

static PyMethodDef methods[] = {
    {"decode", decode, METH_VARARGS, "Return the checksum of a reading."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_decoder", NULL, -1, methods};

PyMODINIT_FUNC PyInit__decoder(void) { return PyModule_Create(&module); }
