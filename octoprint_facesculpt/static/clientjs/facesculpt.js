(function (global, factory) {
    if (typeof define === "function" && define.amd) {
        define(["OctoPrintClient"], factory);
    } else {
        factory(global.OctoPrintClient);
    }
})(this, function (OctoPrintClient) {
    var OctoPrintFaceSculptClient = function (base) {
        this.base = base;
    };

    OctoPrintFaceSculptClient.prototype.url = function (path) {
        return "plugin/facesculpt/" + path;
    };
    OctoPrintFaceSculptClient.prototype.get = function (path, opts) {
        return this.base.get(this.url(path), opts);
    };
    OctoPrintFaceSculptClient.prototype.post = function (path, data, opts) {
        return this.base.postJson(this.url(path), data || {}, opts);
    };
    OctoPrintFaceSculptClient.prototype.remove = function (path, opts) {
        return this.base.delete(this.url(path), opts);
    };
    OctoPrintFaceSculptClient.prototype.uploadPhoto = function (file) {
        return this.base.upload(this.url("photos"), file, undefined, {}, {});
    };

    OctoPrintClient.registerPluginComponent("facesculpt", OctoPrintFaceSculptClient);
    return OctoPrintFaceSculptClient;
});
