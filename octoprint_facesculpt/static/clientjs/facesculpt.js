/*
 * The REST interface of FaceSculpt as OctoPrint.plugins.facesculpt. Every call returns a jQuery promise of the thing that was
 * asked for, without the object the server wraps around it.
 */
(function (global, factory) {
    if (typeof define === "function" && define.amd) {
        define(["OctoPrintClient", "jquery"], factory);
    } else {
        factory(global.OctoPrintClient, global.$);
    }
})(this, function (OctoPrintClient, $) {
    const FaceSculptClient = function (base) {
        this.base = base;
        this.url = base.getBlueprintUrl("facesculpt");
    };

    const path = (...parts) => parts.map(encodeURIComponent).join("/");

    const only = (name) => (answer) => answer[name];

    FaceSculptClient.prototype.get = function (...parts) {
        return this.base.get(this.url + path(...parts));
    };

    FaceSculptClient.prototype.post = function (parts, data) {
        return this.base.postJson(this.url + path(...parts), data || {});
    };

    /** Deletes a thing of a kind (photos, sculptures, queue); unless it is `forever`, it can be had back for an hour. */
    FaceSculptClient.prototype.remove = function (kind, id, forever) {
        return this.base.delete(this.url + path(kind, id) + (forever ? "?forever=true" : ""));
    };

    FaceSculptClient.prototype.restore = function (kind, id) {
        return this.post([kind, id, "restore"]);
    };

    /** What can be had back: {kind, id, name}, the newest first. */
    FaceSculptClient.prototype.deleted = function () {
        return this.get("deleted").then(only("deleted"));
    };

    FaceSculptClient.prototype.status = function () {
        return this.get("status");
    };

    FaceSculptClient.prototype.fetchAssets = function () {
        return this.post(["assets", "fetch"]);
    };

    /** Files of which the database knows nothing: "restore" has the photos back, "delete" removes all of them. */
    FaceSculptClient.prototype.leftovers = function (command) {
        return this.post(["leftovers"], {command: command});
    };

    /** All profiles of all slicers, the key of the usual one, and OctoPrint's printer profiles. */
    FaceSculptClient.prototype.profiles = function () {
        return this.get("slicing", "profiles");
    };

    FaceSculptClient.prototype.profile = function (engine, key) {
        return this.get("slicing", "profiles", engine, key).then(only("profile"));
    };

    FaceSculptClient.prototype.copyProfile = function (engine, key, name) {
        return this.post(["slicing", "profiles", engine, key, "copy"], {name: name}).then(only("profile"));
    };

    /** `changes` may have a name, and settings by key; null takes one back to what it is in the preset. */
    FaceSculptClient.prototype.changeProfile = function (engine, key, changes) {
        return this.base.putJson(this.url + path("slicing", "profiles", engine, key), changes).then(only("profile"));
    };

    FaceSculptClient.prototype.deleteProfile = function (engine, key) {
        return this.base.delete(this.url + path("slicing", "profiles", engine, key));
    };

    FaceSculptClient.prototype.importProfile = function (file) {
        const form = new FormData();
        form.append("profile", file, file.name);
        return this.base
            .post(this.url + path("slicing", "profiles"), form, {contentType: false, processData: false})
            .then(only("profile"));
    };

    FaceSculptClient.prototype.photos = function () {
        return this.get("photos").then(only("photos"));
    };

    /** Uploads one File; the promise reports progress as a fraction from 0 to 1. */
    FaceSculptClient.prototype.uploadPhoto = function (file) {
        const form = new FormData();
        form.append("photo", file, file.name);
        const result = $.Deferred();
        const xhr = () => {
            const request = $.ajaxSettings.xhr();
            request.upload.addEventListener("progress", (event) => {
                if (event.lengthComputable) result.notify(event.loaded / event.total);
            });
            return request;
        };
        this.base
            .post(this.url + "photos", form, {contentType: false, processData: false, xhr: xhr})
            .done((answer) => result.resolve(answer.photo))
            .fail(result.reject);
        return result.promise();
    };

    FaceSculptClient.prototype.sculptures = function () {
        return this.get("sculptures").then(only("sculptures"));
    };

    FaceSculptClient.prototype.createSculpture = function (order) {
        return this.post(["sculptures"], order).then(only("sculpture"));
    };

    FaceSculptClient.prototype.cancelSculpture = function (id) {
        return this.post(["sculptures", id, "cancel"]);
    };

    FaceSculptClient.prototype.retrySculpture = function (id) {
        return this.post(["sculptures", id, "retry"]);
    };

    /** Slices a finished sculpture anew with other settings. */
    FaceSculptClient.prototype.planAgain = function (id, order) {
        return this.post(["sculptures", id, "plan"], order).then(only("sculpture"));
    };

    /** Heights, times and colours of a print's layers. */
    FaceSculptClient.prototype.layers = function (id) {
        return this.get("sculptures", id, "layers").then(only("layers"));
    };

    /** The address of a layer's picture; `version` tells one slicing from the next. */
    FaceSculptClient.prototype.layerUrl = function (id, number, version) {
        return this.url + path("sculptures", id, "layers", number + ".png") + "?v=" + encodeURIComponent(version);
    };

    FaceSculptClient.prototype.queue = function () {
        return this.get("queue").then(only("queue"));
    };

    FaceSculptClient.prototype.enqueue = function (sculpture) {
        return this.post(["queue"], {sculpture: sculpture, print: false});
    };

    /** Queues a sculpture and starts its print at once; the caller has asked whether the bed is clear. */
    FaceSculptClient.prototype.printSculpture = function (sculpture) {
        return this.post(["queue"], {sculpture: sculpture, print: true, bed_clear: true});
    };

    /** Starts a queued print; the caller has asked whether the bed is clear. */
    FaceSculptClient.prototype.print = function (item) {
        return this.post(["queue", item, "print"], {bed_clear: true});
    };

    FaceSculptClient.prototype.move = function (item, position) {
        return this.post(["queue", item, "move"], {position: position});
    };

    /** The interrupted print, or the rehearsal of one. */
    FaceSculptClient.prototype.recovery = function (drill) {
        return this.base.get(this.url + "recovery" + (drill ? "?drill=true" : "")).then(only("recovery"));
    };

    /** A command about it: {command, confirmed, revision, ...}; see the README. */
    FaceSculptClient.prototype.recover = function (order) {
        return this.post(["recovery"], order).then(only("recovery"));
    };

    /** Addresses: a picture of the recovery as it is now, the resume as a file, a picture of OctoPrint's camera. */
    FaceSculptClient.prototype.recoveryPicture = function (name, mark, drill) {
        const query = $.param(_.extend({v: mark}, drill ? {drill: true} : {}));
        return this.base.getBaseUrl() + this.url + path("recovery", "pictures", name) + "?" + query;
    };

    FaceSculptClient.prototype.recoveryExport = function () {
        return this.base.getBaseUrl() + this.url + path("recovery", "resume.gcode");
    };

    FaceSculptClient.prototype.cameraPicture = function (moment) {
        return this.base.getBaseUrl() + "downloads/camera/current?t=" + moment;
    };

    OctoPrintClient.registerPluginComponent("facesculpt", FaceSculptClient);
    return FaceSculptClient;
});
